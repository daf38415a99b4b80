package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/graph"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// releaseTarget is a release of a cluster, whoever declares it.
type releaseTarget struct {
	cluster string // see Engine.clusterOf
	ref     helm.ReleaseRef
}

// rivals are the declarations of the same release. One of them goes on with it,
// whoever is faster, and nobody works on it beside another. Engine.mu guards it.
type rivals struct {
	collected *graph.Graph[*node] // of which nodes what follows tells
	declared  map[releaseTarget][]*node
	at        map[string]releaseTarget // by id

	owners map[releaseTarget]string // as a run has seen them last; "": there is no release
	turns  map[releaseTarget]*turn
}

// turn is somebody's work on a release.
type turn struct {
	by      string
	waiting []string
}

// bounds are the arguments of the helm plugin that do not tell one cluster from
// another.
var bounds = []string{"namespaces", "storage", "max_index", "max_chart"}

// clusterOf identifies the cluster that a helm reaches, as far as its arguments
// tell. e.mu is held.
func (e *Engine) clusterOf(helm string) string {
	h := e.nodes[helm]
	if h == nil || h.plugin == nil {
		return helm
	}
	args := map[string]json.RawMessage{}
	if json.Unmarshal(h.plugin.JSON, &args) != nil {
		return helm
	}
	for name, value := range args {
		empty := slices.ContainsFunc([]string{"null", `""`, "false", "[]"}, func(none string) bool { return bytes.Equal(value, []byte(none)) })
		if empty || slices.Contains(bounds, name) {
			delete(args, name)
		}
	}
	return fingerprint(h.plugin.Type, args)
}

// rivals returns who declares what, collected once for each change of the nodes,
// and has those look again that nobody is before any more. e.mu is held.
func (e *Engine) rivals() *rivals {
	r := &e.releases.rivals
	if r.collected == e.graph && r.at != nil {
		return r
	}
	r.collected, r.declared, r.at = e.graph, map[releaseTarget][]*node{}, map[string]releaseTarget{}
	clusters := map[string]string{} // by helm
	for _, n := range e.nodes {
		if n.release == nil {
			continue
		}
		at := n.release.declared.Helm
		if clusters[at] == "" {
			clusters[at] = e.clusterOf(at)
		}
		ref := n.release.ref()
		to := releaseTarget{clusters[at], ref}
		r.at[n.id] = to
		if ref.Name != "" && n.release.leaving == nil {
			r.declared[to] = append(r.declared[to], n)
		}
	}
	for to, list := range r.declared {
		slices.SortFunc(list, func(a, b *node) int { return before(a, b, to.ref) })
	}
	for to := range r.owners {
		if r.declared[to] == nil {
			delete(r.owners, to)
		}
	}
	for _, n := range e.nodes {
		e.reconsider(n)
	}
	return r
}

// before orders declarations of the release ref: a block of the operator's, a
// resource of the release's own namespace, what was there first.
func before(a, b *node, ref helm.ReleaseRef) int {
	rank := func(n *node) (class int, made time.Time) {
		switch r := n.release.declared.Resource; {
		case r == nil:
			return 0, made
		case r.Ref.Namespace == ref.Namespace:
			return 1, r.Created
		default:
			return 2, r.Created
		}
	}
	classA, madeA := rank(a)
	classB, madeB := rank(b)
	return cmp.Or(cmp.Compare(classA, classB), madeA.Compare(madeB), cmp.Compare(a.id, b.id))
}

// winnerOf is the declaration that goes on with the release of n, and why; n
// itself, if no other is before it. e.mu is held.
func (e *Engine) winnerOf(n *node) (winner *node, why string) {
	r := e.rivals()
	list := r.declared[r.at[n.id]]
	if len(list) > 1 {
		list = slices.DeleteFunc(slices.Clone(list), func(other *node) bool { return other != n && sameResource(other, n) })
	}
	if len(list) == 0 || len(list) == 1 && list[0] == n {
		return n, ""
	}
	owner := r.owner(r.at[n.id], list)
	for _, other := range list {
		if _, name := other.release.declared.Release(other.release.record); name == owner && owner != "" {
			return other, "has made it"
		}
	}
	for _, other := range list {
		if other.release.inherits != "" {
			return other, "goes on with it"
		}
	}
	return list[0], "comes first: a release block does, then a resource of the release's namespace, then what is older"
}

// sameResource reports whether two nodes are of one resource: see twinOf.
func sameResource(a, b *node) bool {
	x, y := a.release.declared.Resource, b.release.declared.Resource
	return x != nil && y != nil && x.UID != "" && x.UID == y.UID
}

// owner is whose a release is, as it was seen last: by a run, or by an earlier
// process.
func (r *rivals) owner(to releaseTarget, list []*node) string {
	if owner, seen := r.owners[to]; seen {
		return owner
	}
	var last helm.Revision
	for _, n := range list {
		if rec := n.release.record; rec.Ref == to.ref && rec.Last.Number > 0 && !rec.Last.Updated.Before(last.Updated) {
			last = rec.Last
		}
	}
	return last.Owner
}

// reconsider has n look again if it was refused and no other declaration is
// before it any more. e.mu is held.
func (e *Engine) reconsider(n *node) {
	if n.release == nil || n.release.yields == "" {
		return
	}
	if winner, _ := e.winnerOf(n); winner != n && winner.id == n.release.yields {
		return
	}
	n.release.yields = ""
	if h := e.nodes[n.release.declared.Helm]; h != nil && h.isHelm() && h.helm.observer != nil {
		h.helm.observer.Changed(n.release.declared.Spec.Ref)
	}
	e.triggerLocked(n.id, sched.Webhook)
}

// yield ends the run of n, whose release another declaration goes on with. e.mu
// is held.
func (e *Engine) yield(n *node, job *releaseJob, winner *node, why string) {
	ref := n.release.ref()
	err := fmt.Errorf("release %s/%s is declared by %s (%s) as well, which %s: remove one of the two declarations, or give it another release name",
		ref.Namespace, ref.Name, winner.id, winner.release.declared.Place, why)
	if job.task != nil {
		job.task.finish(refuse(ErrConflict, "%s: %s", n.id, err))
	}
	news := n.failure == nil || n.failure.Error() != err.Error()
	n.release.yields = winner.id
	e.failed(n, permanent(err), "the end of "+winner.id)
	w := e.writerOf(n.release.declared)
	if w == nil || !news {
		return
	}
	w.Update(n.id, *n.release.declared.Resource, func(r resource.Resource, before resource.Status) resource.Status {
		return r.Failed(before, err, now())
	})
	w.Tell(n.release.declared.Resource.FailureEvent(err))
}

// isFirst ends a run whose release another declaration goes on with, or may be
// about to. e.mu is held.
func (e *Engine) isFirst(n *node, job *releaseJob) bool {
	if winner, why := e.winnerOf(n); winner != n {
		e.yield(n, job, winner, why)
		return false
	}
	n.release.yields = ""
	if d := e.unsettled(n); d > 0 && job.task == nil {
		e.rest(n, Waiting, "for others that declare the same release, if there are any", "")
		e.times.Postpone(n.id, d)
		return false
	}
	return true
}

// How long a resource waits for others that were made together with it, before
// it installs what is not there: the one that is seen first must not win.
const (
	settleTime = 2 * time.Second
	settleLook = 250 * time.Millisecond
)

// unsettled is how long n is to wait before it installs a release: until all
// resources were seen, and longer if the release is of another namespace. e.mu
// is held.
func (e *Engine) unsettled(n *node) time.Duration {
	r := n.release
	res := r.declared.Resource
	if res == nil || r.installed() || e.times == nil {
		return 0
	}
	if f := e.followed[r.declared.Applier]; f != nil && f.passing != nil {
		return settleLook
	}
	if res.Ref.Namespace == r.declared.Spec.Ref.Namespace {
		return 0
	}
	if r.settled.IsZero() {
		r.settled = now().Add(settleTime)
	}
	return max(r.settled.Sub(now()), 0)
}

// takeTurn begins the work of a job on its releases; what holds them already is
// returned instead, and the job's node looks again when that has ended. e.mu is
// held.
func (e *Engine) takeTurn(n *node, job *releaseJob) *node {
	r := e.rivals()
	to := r.at[n.id]
	job.on = []releaseTarget{to}
	if old := job.record.Ref; old.Name != "" && old != to.ref {
		job.on = append(job.on, releaseTarget{to.cluster, old})
	}
	for _, to := range job.on {
		if t := r.turns[to]; t != nil && t.by != n.id {
			t.waiting = append(t.waiting, n.id)
			return cmp.Or(e.nodes[t.by], &node{id: t.by, begun: 1, view: Node{State: Running, Reason: "it is about to end"}})
		}
	}
	if r.turns == nil {
		r.turns = map[releaseTarget]*turn{}
	}
	for _, to := range job.on {
		r.turns[to] = &turn{by: n.id}
	}
	return nil
}

// endTurn ends the work of a job on its releases.
func (e *Engine) endTurn(job *releaseJob) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rivals()
	for _, to := range job.on {
		if t := r.turns[to]; t != nil && t.by == job.id {
			delete(r.turns, to)
			for _, id := range t.waiting {
				e.triggerLocked(id, sched.Webhook)
			}
		}
	}
	if len(job.on) > 0 {
		e.sawOwner(job)
	}
}

// sawOwner takes note of whose the release of a job is, and has those look again
// for which that changes something. e.mu is held.
func (e *Engine) sawOwner(job *releaseJob) {
	r, to := e.rivals(), job.on[0]
	n := e.nodes[job.id]
	switch {
	case n == nil || n.release == nil || n.release.report == nil:
		delete(r.owners, to) // removed
	case n.release.report == job.before || n.release.report.State == release.Unknown:
		return
	default:
		if r.owners == nil {
			r.owners = map[releaseTarget]string{}
		}
		r.owners[to] = ""
		if rev := n.release.report.Revision; rev.Number > 0 && n.release.report.State != release.Absent {
			r.owners[to] = rev.Owner
		}
	}
	for _, other := range r.declared[to] {
		e.reconsider(other)
	}
}
