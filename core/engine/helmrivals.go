package engine

import (
	"cmp"
	"fmt"
	"iter"
	"time"

	"github.com/sluice-gitops/sluice/core/graph"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/rivals"
	"github.com/sluice-gitops/sluice/core/sched"
)

// releaseBook tells who goes on with which release. Engine.mu guards it.
type releaseBook struct {
	rivals.Book[*node]
	collected bool
	of        *graph.Graph[*node] // when it was
}

// Claim implements rivals.Claimant.
func (n *node) Claim() rivals.Claim {
	r := n.release
	return rivals.Claim{ID: n.id, Declared: &r.declared, Record: &r.record, Leaving: r.leaving != nil, Inherits: r.inherits != ""}
}

// releasesAmong are those of nodes that declare releases, or did.
func releasesAmong(nodes map[string]*node) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, n := range nodes {
			if n.release != nil && !yield(n) {
				return
			}
		}
	}
}

// clusterOf identifies the cluster that a helm reaches, as far as its arguments
// tell. e.mu is held.
func (e *Engine) clusterOf(helm string) string {
	if h := e.nodes[helm]; h != nil && h.plugin != nil {
		if cluster, ok := rivals.ClusterOf(*h.plugin); ok {
			return cluster
		}
	}
	return helm
}

// rivals returns who declares what, collected once for each change of the nodes,
// and has those look again that nobody is before any more. e.mu is held.
func (e *Engine) rivals() *releaseBook {
	b := &e.releases.book
	if b.collected && b.of == e.graph {
		return b
	}
	b.collected, b.of = true, e.graph
	b.Collect(releasesAmong(e.nodes), e.clusterOf)
	for _, n := range e.nodes {
		e.reconsider(n)
	}
	return b
}

// winnerOf is the declaration that goes on with the release of n, and why; n
// itself, if no other is before it. e.mu is held.
func (e *Engine) winnerOf(n *node) (winner *node, why string) { return e.rivals().First(n) }

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
		job.task.Finish(refusal.Conflict("%s: %s", n.id, err))
	}
	news := n.failure == nil || n.failure.Error() != err.Error()
	n.release.yields = winner.id
	e.failed(n, permanent(err), "the end of "+winner.id)
	if news {
		e.voiceOf(n, n.release.declared).Failed(err)
	}
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
	if f := e.followed[r.declared.Applier]; f != nil && f.sight.Passing() {
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
	b := e.rivals()
	to := b.At(n.id)
	job.on = []rivals.Target{to}
	if old := job.record.Ref; old.Name != "" && old != to.Ref {
		job.on = append(job.on, rivals.Target{Cluster: to.Cluster, Ref: old})
	}
	if by := b.Begin(n.id, job.on); by != "" {
		return cmp.Or(e.nodes[by], &node{id: by, begun: 1, view: Node{State: Running, Reason: "it is about to end"}})
	}
	return nil
}

// endTurn ends the work of a job on its releases.
func (e *Engine) endTurn(job *releaseJob) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range e.rivals().End(job.id, job.on) {
		e.triggerLocked(id, sched.Webhook)
	}
	if len(job.on) > 0 {
		e.sawOwner(job)
	}
}

// sawOwner takes note of whose the release of a job is, and has those look again
// for which that changes something. e.mu is held.
func (e *Engine) sawOwner(job *releaseJob) {
	b, to := e.rivals(), job.on[0]
	n := e.nodes[job.id]
	switch {
	case n == nil || n.release == nil || n.release.report == nil:
		b.Forget(to) // removed
	case n.release.report == job.before || n.release.report.State == release.Unknown:
		return
	default:
		owner := ""
		if rev := n.release.report.Revision; rev.Number > 0 && n.release.report.State != release.Absent {
			owner = rev.Owner
		}
		b.Saw(to, owner)
	}
	for _, other := range b.Declaring(to) {
		e.reconsider(other)
	}
}
