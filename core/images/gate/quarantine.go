package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
)

// Quarantine keeps an image from being rolled out by automation, in the sync that
// it comes from: what fails for one may do for others, and nobody can keep an
// image from them.
type Quarantine struct {
	Repository string    `json:"repository"` // canonical name
	Tag        string    `json:"tag"`
	Digest     string    `json:"digest,omitempty"` // empty: whatever the tag names
	Sync       string    `json:"sync,omitempty"`   // address of the one that it counts for; empty: for all
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
	Workload   string    `json:"workload,omitempty"`   // whose rollout failed
	Container  string    `json:"container,omitempty"`  // of it
	Automation string    `json:"automation,omitempty"` // that rolled it out
}

// String says in one line what the quarantine is for.
func (q Quarantine) String() string {
	return fmt.Sprintf("%s (since %s)", q.Reason, q.Since.Format(time.RFC3339))
}

func quarantineID(repository, tag, sync string) string {
	return strings.TrimSpace(repository + ":" + tag + " " + sync)
}

// Quarantine keeps an image away; one of the same tag and sync is
// replaced. It is on disk when Quarantine returns.
func (k *Keeper) Quarantine(q Quarantine) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := quarantineID(q.Repository, q.Tag, q.Sync)
	if err := quarantines.Put(k.store, id, q); err != nil {
		return err
	}
	k.quarantined[id] = q
	return nil
}

// Reason returns why the image is in quarantine for a sync, "" if it is not. A
// tag that names another digest than the one that failed is another image; one
// whose digest is not known is taken for the same.
func (k *Keeper) Reason(sync, repository, tag, digest string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, of := range []string{sync, ""} {
		q, ok := k.quarantined[quarantineID(repository, tag, of)]
		if ok && (q.Digest == "" || digest == "" || q.Digest == digest) {
			return q.String()
		}
	}
	return ""
}

// Quarantined returns all of them, ordered by repository, tag and sync.
func (k *Keeper) Quarantined() []Quarantine {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := slices.AppendSeq([]Quarantine{}, maps.Values(k.quarantined))
	slices.SortFunc(list, func(a, b Quarantine) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Sync, b.Sync))
	})
	return list
}

// Lift ends the quarantine of a tag for all syncs, or with an empty tag of all tags of the
// repository, and returns what it ended.
func (k *Keeper) Lift(repository, tag string) ([]Quarantine, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	lifted := []Quarantine{}
	var changes []state.Change
	for id, q := range k.quarantined {
		if q.Repository == repository && (tag == "" || q.Tag == tag) {
			lifted = append(lifted, q)
			changes = append(changes, quarantines.Removal(id))
		}
	}
	if len(changes) == 0 {
		return lifted, nil
	}
	if err := k.store.Write(changes); err != nil {
		return nil, err
	}
	for _, q := range lifted {
		delete(k.quarantined, quarantineID(q.Repository, q.Tag, q.Sync))
	}
	slices.SortFunc(lifted, func(a, b Quarantine) int { return cmp.Or(cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Sync, b.Sync)) })
	return lifted, nil
}
