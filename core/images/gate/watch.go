package gate

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Watch follows the rollout of one image that automation has committed.
type Watch struct {
	Automation string `json:"automation"` // address
	Sync       string `json:"sync"`       // address
	Workload   string `json:"workload"`   // shop:deployment/web
	Container  string `json:"container"`
	From       string `json:"from"` // references, as written
	To         string `json:"to"`
	Digest     string `json:"digest,omitempty"` // of To when it was committed; empty: it was not known
	Revision   string `json:"revision"`         // that holds To

	Timeout    time.Duration `json:"timeout"`              // of Watched
	Revert     bool          `json:"revert,omitempty"`     // what to do about a failure
	Quarantine bool          `json:"quarantine,omitempty"` //

	Committed time.Time `json:"committed"`
	Applied   time.Time `json:"applied,omitzero"` // when the sync was first seen to have applied it
	Seen      time.Time `json:"seen,omitzero"`    // when the cluster was first seen to have To

	// Watched is for how long it was looked at since it was applied, and Looked
	// when last. A clock that leaps, or nobody looking, makes no rollout late.
	Watched time.Duration `json:"watched,omitempty"`
	Looked  time.Time     `json:"looked,omitzero"`
}

// maxStep is the most that counts between two looks.
const maxStep = 10 * time.Second

// ID names what is watched: a later update of the same container takes the
// place of an earlier one.
func (w Watch) ID() string { return w.Sync + " " + w.Workload + " " + w.Container }

// Observation is what can be seen of a watched update at one moment.
type Observation struct {
	At      time.Time
	Applied bool            // the sync has applied the commit, or a later one
	Found   bool            // the workload is in the cluster
	Image   string          // of the container there; empty: there is no such container
	Rollout applier.Rollout // of the workload
	Stalled string          // why the sync says that the workload will not get there; empty: it does not
}

// Verdict is what an Observation comes to.
type Verdict string

const (
	Pending   Verdict = "pending"   // look again
	Healthy   Verdict = "healthy"   // it has rolled out
	Failed    Verdict = "failed"    // it has not, and will not
	Overtaken Verdict = "overtaken" // something else runs there, by somebody else's doing
)

// Observe returns w as it is after the observation, and what that comes to,
// with a reason for people unless it is Healthy. A rollout fails when the
// workload or its sync says so, and when it was watched for Timeout since the
// commit was applied; but only an image that the cluster was seen to have is blamed.
func (w Watch) Observe(o Observation) (Watch, Verdict, string) {
	if o.Applied && w.Applied.IsZero() {
		w.Applied = o.At
	}
	there := o.Found && o.Image == w.To
	if there && w.Seen.IsZero() {
		w.Seen = o.At
		if w.Applied.IsZero() {
			w.Applied = o.At
		}
	}
	w = w.watched(o.At)
	late := !w.Applied.IsZero() && w.Watched >= w.Timeout
	switch {
	case there && o.Rollout.Phase == applier.RolloutReady:
		return w, Healthy, ""
	case there && o.Rollout.Phase == applier.RolloutFailed:
		return w, Failed, because("the rollout failed", o.Rollout.Message)
	case there && o.Stalled != "":
		return w, Failed, because("it will not become ready", o.Stalled)
	case there && late:
		return w, Failed, because(fmt.Sprintf("not ready %s after it was applied", w.Timeout), progress(o.Rollout))
	case !there && !w.Seen.IsZero():
		return w, Overtaken, fmt.Sprintf("%s runs there now", image(o))
	case late:
		return w, Overtaken, fmt.Sprintf("the cluster has not come to have it in %s: %s runs there", w.Timeout, image(o))
	case !w.Applied.IsZero():
		return w, Pending, "rolling out: " + progress(o.Rollout)
	}
	return w, Pending, "waits for " + w.Sync + " to apply it"
}

// watched counts what has passed since the last look, once it is applied.
func (w Watch) watched(at time.Time) Watch {
	if w.Applied.IsZero() {
		return w
	}
	if !w.Looked.IsZero() {
		w.Watched += min(max(at.Sub(w.Looked), 0), maxStep)
	}
	w.Looked = at
	return w
}

// news reports whether w tells more than before that is worth a write.
func (w Watch) news(before Watch) bool {
	coarse := w.Watched.Truncate(time.Minute) == before.Watched.Truncate(time.Minute)
	w.Watched, w.Looked = before.Watched, before.Looked
	return !coarse || w != before
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

func image(o Observation) string {
	switch {
	case !o.Found:
		return "no such workload"
	case o.Image == "":
		return "no such container"
	}
	return o.Image
}

func progress(r applier.Rollout) string {
	text := fmt.Sprintf("%d of %d updated, %d ready", r.Updated, r.Desired, r.Ready)
	if r.Outdated > 0 { // which may be those that are ready
		text += fmt.Sprintf(", %d still of the old one", r.Outdated)
	}
	if r.Message != "" {
		text += ": " + r.Message
	}
	return text
}

// Follow begins or goes on with watches. They are on disk when it returns.
func (k *Keeper) Follow(list ...Watch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	changes := make([]state.Change, len(list))
	for i, w := range list {
		changes[i] = watches.Change(w.ID(), w)
	}
	if err := k.store.Write(changes); err != nil {
		return err
	}
	for _, w := range list {
		k.watches[w.ID()] = w
	}
	return nil
}

// Drop ends a watch, unless a later update has taken its place.
func (k *Keeper) Drop(w Watch) error { return k.Settle(nil, []Watch{w}) }

// Settle goes on with the watches next, as they are now, and ends those of over,
// each unless a later update has taken its place. All are on disk when it
// returns, or none, but for the time that they were watched: a restart costs a
// minute of that at most.
func (k *Keeper) Settle(next, over []Watch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	overtaken := func(w Watch) bool {
		now, ok := k.watches[w.ID()]
		return !ok || now.To != w.To || now.Revision != w.Revision
	}
	next = slices.DeleteFunc(slices.Clone(next), overtaken)
	over = slices.DeleteFunc(slices.Clone(over), overtaken)
	var changes []state.Change
	for _, w := range next {
		if w.news(k.watches[w.ID()]) {
			changes = append(changes, watches.Change(w.ID(), w))
		}
	}
	for _, w := range over {
		changes = append(changes, watches.Removal(w.ID()))
	}
	if len(changes) > 0 {
		if err := k.store.Write(changes); err != nil {
			return err
		}
	}
	for _, w := range next {
		k.watches[w.ID()] = w
	}
	for _, w := range over {
		delete(k.watches, w.ID())
	}
	return nil
}

// Watches returns what is followed for a sync, or with "" for all, by ID.
func (k *Keeper) Watches(sync string) []Watch {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []Watch
	for _, id := range slices.Sorted(maps.Keys(k.watches)) {
		if w := k.watches[id]; sync == "" || w.Sync == sync {
			list = append(list, w)
		}
	}
	return list
}
