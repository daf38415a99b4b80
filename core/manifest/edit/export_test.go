package edit

// Counts returns how many files the tree has read and how many documents it has
// parsed to find what they hold.
func (t *Tree) Counts() (reads, parses int64) { return t.reads.Load(), t.parses.Load() }
