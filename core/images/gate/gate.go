// Package gate holds automated updates back until they have proven themselves,
// and takes back those that do not.
//
// Four things are kept, in the daemon's state, so that a restart neither
// shortens nor forgets any of them:
//
//   - soak: since when an image has been the one to be rolled out
//   - watches: updates that were committed and whose rollout is followed
//   - quarantine: images whose rollout failed, which automation leaves alone
//   - brake: what automation has written where, so that it does not write the
//     same again and again when somebody else keeps writing it back
//
// The package decides and remembers; who looks at clusters, and when, is the
// engine's business. A Keeper is safe for concurrent use.
package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
)

const (
	soakRecords state.Kind[soaking]    = "soak"
	watches     state.Kind[Watch]      = "watch"
	quarantines state.Kind[Quarantine] = "quarantine"

	writingRecords state.Kind[writings] = "written"
)

// Keeper remembers what the package comment lists.
type Keeper struct {
	store *state.Store

	mu          sync.Mutex
	soaking     map[string]soaking    // by subject
	watches     map[string]Watch      // by id
	quarantined map[string]Quarantine // by repository, tag and sync
	written     map[string]writings   // by subject
	swept       time.Time             // when what is old was last forgotten
}

// Open returns what store remembers. The store outlives the Keeper.
func Open(store *state.Store) (*Keeper, error) {
	k := &Keeper{store: store}
	var err error
	if k.soaking, err = all(store, soakRecords); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if k.watches, err = all(store, watches); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if k.quarantined, err = all(store, quarantines); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if k.written, err = all(store, writingRecords); err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return k, nil
}

func all[T any](store *state.Store, kind state.Kind[T]) (map[string]T, error) {
	ids, err := kind.IDs(store)
	if err != nil {
		return nil, err
	}
	records := make(map[string]T, len(ids))
	for _, id := range ids {
		if records[id], _, err = kind.Get(store, id); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Candidate is an image that somebody would roll out.
type Candidate struct {
	Subject string // who would: an automation, a workload and a container
	Target  string // the image, as it would be written
}

// soaking are the targets of one subject, by the time when each was first
// selected.
type soaking map[string]time.Time

// maxSoaking bounds what is remembered of one subject: enough for a tag that
// comes back after a newer one was withdrawn.
const maxSoaking = 8

// Since returns, for each candidate, when it was first selected, which is now
// for those that never were. What is new is on disk when it returns.
func (k *Keeper) Since(candidates []Candidate, now time.Time) ([]time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := make([]time.Time, len(candidates))
	news := map[string]soaking{}
	var changes []state.Change
	for i, c := range candidates {
		known := k.soaking[c.Subject]
		if at, ok := known[c.Target]; ok {
			since[i] = at
			continue
		}
		news[c.Subject] = known.with(c.Target, now)
		changes = append(changes, soakRecords.Change(c.Subject, news[c.Subject]))
		since[i] = now
	}
	if len(changes) == 0 {
		return since, nil
	}
	if err := k.store.Write(changes); err != nil {
		return nil, err
	}
	maps.Copy(k.soaking, news)
	return since, nil
}

// soakKept is for how long the soak is kept of what is not selected any more: a
// tag may come back.
const soakKept = 24 * time.Hour

// Tidy drops the soak of the subjects that stale selects and for which nothing
// was selected first for a day: workloads come and go.
func (k *Keeper) Tidy(now time.Time, stale func(subject string) bool) error {
	return k.Forget(func(subject string) bool {
		for _, at := range k.soaking[subject] {
			if now.Sub(at) < soakKept {
				return false
			}
		}
		return stale(subject)
	})
}

// with returns s with one target more, and without the oldest of too many.
func (s soaking) with(target string, now time.Time) soaking {
	next := soaking{target: now}
	targets := make([]string, 0, len(s))
	for t := range s {
		targets = append(targets, t)
	}
	slices.SortFunc(targets, func(a, b string) int { return cmp.Or(s[b].Compare(s[a]), cmp.Compare(a, b)) })
	for _, t := range targets[:min(len(targets), maxSoaking-1)] {
		next[t] = s[t]
	}
	return next
}

// Forget drops the soak of the subjects that gone selects: those of an
// automation that there is not any more.
func (k *Keeper) Forget(gone func(subject string) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var changes []state.Change
	for subject := range k.soaking {
		if gone(subject) {
			delete(k.soaking, subject)
			changes = append(changes, soakRecords.Removal(subject))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return k.store.Write(changes)
}
