package updates

// commitMarks tell, of the commits that this process has made, which run of
// their source was the last to begin before: a later one has seen the commit,
// or what came after it.
type commitMarks struct {
	runs  map[string]uint64 // by revision
	order []string
}

// maxCommitMarks bounds how many are kept. Without one, a revision counts as
// applied when the sync has seen any newest revision.
const maxCommitMarks = 1000

func (m *commitMarks) add(revision string, run uint64) {
	if m.runs == nil {
		m.runs = map[string]uint64{}
	}
	if _, known := m.runs[revision]; !known {
		m.order = append(m.order, revision)
	}
	m.runs[revision] = run
	if len(m.order) > maxCommitMarks {
		delete(m.runs, m.order[0])
		m.order = m.order[1:]
	}
}

// lastBefore is the last run of a source that may not have seen a revision that
// stands in it now. One that nobody here has committed was in its tree already.
func (m *commitMarks) lastBefore(src Newest, revision string) uint64 {
	if run, ok := m.runs[revision]; ok {
		return run
	}
	return max(src.Resolved, 1) - 1
}

// Committed notes a commit that was made during the run of its source with this
// number, or after it.
func (u *Updater) Committed(revision string, run uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.marks.add(revision, run)
}

// applied reports whether a sync has applied a revision that was committed here,
// or a later one.
func (u *Updater) applied(sync, revision string) bool {
	u.mu.Lock()
	run := u.marks.runs[revision]
	u.mu.Unlock()
	return u.site.Applied(sync, revision, run)
}
