package writeback

import (
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
)

// record is a change on disk, under a key that sorts by the order of arrival.
type record struct {
	Change  Change   `json:"change"`
	Outcome *Outcome `json:"outcome,omitempty"` // it has ended, and Done has not returned
}

const (
	records state.Kind[record] = "writeback"
	// tries holds, by source and branch, the keys of the changes that a commit
	// has begun for: it may have been pushed.
	tries state.Kind[[]string] = "writeback-try"
)

// entry is a change in memory.
type entry struct {
	seq     uint64
	change  Change
	tried   bool     // a commit has begun for it, perhaps in a former process
	outcome *Outcome // set before done is closed
	err     error    // why it waits alone, until hold
	hold    time.Time
	done    chan struct{} // closed when Done has returned
}

func (e *entry) key() string { return fmt.Sprintf("%016x", e.seq) }

// load reads what a former process left. What cannot be read is left where it
// is, with an error in the log, and does not stop the others.
func (q *Queue) load() error {
	keys, err := records.IDs(q.o.Store)
	if err != nil {
		return err
	}
	tried, err := q.loadTries()
	if err != nil {
		return err
	}
	for _, key := range keys {
		e := &entry{tried: tried[key], done: make(chan struct{})}
		if _, err := fmt.Sscanf(key, "%x", &e.seq); err != nil {
			q.o.Logger.Error("a pending change is unreadable and stays undone", "key", key, "err", err)
			continue
		}
		q.seq = max(q.seq, e.seq)
		r, ok, err := records.Get(q.o.Store, key)
		if err != nil || !ok {
			q.o.Logger.Error("a pending change is unreadable and stays undone", "key", key, "err", err)
			continue
		}
		e.change, e.outcome = r.Change, r.Outcome
		q.add(e)
	}
	return nil
}

func (q *Queue) loadTries() (map[string]bool, error) {
	tried := map[string]bool{}
	ids, err := tries.IDs(q.o.Store)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		keys, _, err := tries.Get(q.o.Store, id)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			tried[key] = true
		}
	}
	return tried, nil
}

// recordTry notes, before a commit begins, which changes it may bring.
func (q *Queue) recordTry(l lane, entries []*entry) error {
	keys := q.triedKeys(l)
	for _, e := range entries {
		keys = append(keys, e.key())
	}
	if err := tries.Put(q.o.Store, l.String(), distinct(keys)); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		e.tried = true
	}
	return nil
}

// triedKeys returns the keys of what has been tried and has not ended.
func (q *Queue) triedKeys(l lane) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var keys []string
	for _, e := range q.lanes[l].pending {
		if e.tried && e.outcome == nil {
			keys = append(keys, e.key())
		}
	}
	return keys
}

// recordOutcomes notes how entries ended.
func (q *Queue) recordOutcomes(entries []*entry) error {
	changes := make([]state.Change, len(entries))
	for i, e := range entries {
		changes[i] = records.Change(e.key(), record{Change: e.change, Outcome: e.outcome})
	}
	return q.o.Store.Write(changes)
}

// forget removes entries whose outcome has been told. Their numbers may be used
// again by a later process, so nothing about them may stay.
func (q *Queue) forget(l lane, entries []*entry) error {
	changes := []state.Change{tries.Removal(l.String())}
	if left := q.triedKeys(l); len(left) > 0 {
		changes[0] = tries.Change(l.String(), left)
	}
	for _, e := range entries {
		changes = append(changes, records.Removal(e.key()))
	}
	return q.o.Store.Write(changes)
}
