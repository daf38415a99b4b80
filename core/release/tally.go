package release

import "maps"

// Count names one of the counters of a Tally.
type Count struct {
	Kind   string // install, upgrade, rollback, test, uninstall, unlock, correct
	Result string // ok, failed
}

// Tally counts what was done to releases. The zero Tally has counted nothing. It
// is not safe for concurrent use.
type Tally struct{ counts map[Count]uint64 }

// operations are the kinds that the steps of runs are counted as.
var operations = map[Action]string{
	ActInstall: "install", ActUpgrade: "upgrade", ActAdopt: "upgrade", ActRollback: "rollback",
	ActUninstall: "uninstall", ActMove: "uninstall", ActTest: "test",
	ActUnlock: "unlock", ActCorrect: "correct",
}

// Run counts the operations of a run.
func (t *Tally) Run(rep Report) {
	for _, s := range rep.Steps {
		if kind, ok := operations[s.Action]; ok {
			t.Add(kind, s.Error != "")
		}
	}
}

// Add counts an operation that was done beside runs.
func (t *Tally) Add(kind string, failed bool) {
	result := "ok"
	if failed {
		result = "failed"
	}
	if t.counts == nil {
		t.counts = map[Count]uint64{}
	}
	t.counts[Count{Kind: kind, Result: result}]++
}

// Counts returns what was counted.
func (t *Tally) Counts() map[Count]uint64 { return maps.Clone(t.counts) }
