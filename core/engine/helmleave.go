package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

const releaseRecords state.Kind[storedRelease] = "release"

// leaving is the end of a release whose declaration is gone, or about to go.
type leaving struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`            // for people
	Keep  bool      `json:"keep,omitempty"` // the release stays, only the declaration goes
	// After is when it begins, unless the release is declared again by then.
	After time.Time `json:"after,omitzero"`
	// Held is the digest of a removal that waits for an approval, together
	// with Many others; "": it waits for none.
	Held string `json:"held,omitempty"`
	Many int    `json:"many,omitempty"`
	Of   int    `json:"of,omitempty"`

	resource bool // a custom resource that exists as yet: its finalizer is to go afterwards
	doomed   bool // the resource's namespace goes, with all that is in it
}

// ends reports whether the job is to end the release.
func (j *releaseJob) ends() bool { return j.leaving != nil && j.task == nil }

// reason says what a held removal waits for.
func (l *leaving) reason() string {
	return fmt.Sprintf("for an approval: %d of %d releases left the configuration at once, and are to be uninstalled", l.Many, l.Of)
}

// pending reports whether the removal is not to begin yet.
func (l *leaving) pending() bool { return now().Before(l.After) }

// removalGrace is how long a block must be gone for its release to be uninstalled:
// longer than it takes to save a file, to check out a branch, or for a tool to
// write the configuration anew.
const removalGrace = time.Minute

// doomed reports whether the release goes with the namespace of its resource.
func (d releaseDeclaration) doomed(l *leaving, ref helm.ReleaseRef) bool {
	return l.doomed && d.resource != nil && d.resource.Ref.Namespace == ref.Namespace
}

// mayEnd ends a run that is to uninstall a release and is not to happen now: it
// waits for an approval, somebody has suspended it, or its block is gone for a
// moment only. Where another declaration goes on with the release there is nothing
// to wait for. e.mu is held.
func (e *Engine) mayEnd(n *node, l *leaving) bool {
	switch s := n.suspension; {
	case l.Keep || n.release.declared.doomed(l, n.release.record.Ref) || heirOf(e.nodes, n) != nil:
		return true
	case l.Held != "":
		n.view.Approval = l.Held
		e.succeeded(n, Waiting, l.reason(), "sluice approve "+quoted(n.id))
	case s != nil:
		reason := fmt.Sprintf("%s; it is to be uninstalled then: %s", s, l.Why)
		e.tellWaits(n, reason)
		e.rest(n, Suspended, reason, resumeHint(s, n.id))
	case l.pending():
		e.succeeded(n, Waiting, fmt.Sprintf("%s: it is uninstalled at %s, unless it is declared again", l.Why, l.After.Format(time.RFC3339)),
			"sluice sync "+quoted(n.id)+", or its block coming back")
		if e.times != nil {
			e.times.Postpone(n.id, time.Until(l.After))
		}
	default:
		return true
	}
	return false
}

// A reload that takes away more than this many releases, or all of more than
// that many, is taken for a mistake until somebody approves it.
const (
	removalBudget = 10
	removalAll    = 3
)

// leave has the releases go whose blocks are not in the configuration any more,
// out of those that were declared before. e.mu is held.
func (ch *change) leave(gone []*node, before int) {
	gone = slices.DeleteFunc(gone, func(n *node) bool { return heirOf(ch.nodes, n) != nil })
	l := leaving{Since: now(), Why: "its block is not in the configuration any more", After: now().Add(removalGrace)}
	var there []string // ids of those that are installed, as far as we know
	for _, n := range gone {
		if n.release.hasRevision() {
			there = append(there, n.id)
		}
	}
	if n := len(there); n > removalBudget || n == before && n > removalAll {
		l.Held, l.Many, l.Of = fingerprint(there), n, before
	}
	for _, n := range gone {
		own := l
		if !n.release.hasRevision() { // all there can be is what a killed process has begun
			own = leaving{Since: l.Since, Why: l.Why}
		}
		n.release.leaving = &own
		n.view.DependsOn = nil
		ch.nodes[n.id] = n
		ch.changed = append(ch.changed, n.id)
		ch.marked = append(ch.marked, n.id)
	}
}

// partings sorts out the releases that c does not declare any more: those that
// are to be uninstalled leave, the others are removed. e.mu is held.
func (e *Engine) partings(ch *change, c *candidate) {
	var gone []*node
	before := 0
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil {
			continue
		}
		if n.release.declared.block != nil && n.release.leaving == nil {
			before++
		}
		if ch.nodes[n.id] != nil {
			continue
		}
		stays := n.release.leaving != nil || n.release.declared.block != nil && n.release.installed() && !n.release.declared.keeps()
		switch h := e.helmFor(ch, c, n.release.declared, stays); {
		case h == nil: // nobody is left to do it
		case n.release.declared.resource != nil && !h.helm.cfg.Resources:
		case n.release.leaving != nil, n.release.declared.resource != nil:
			n.release.declared.helm = h.id
			ch.nodes[n.id] = n
		case stays:
			n.release.declared.helm = h.id
			gone = append(gone, n)
		}
	}
	ch.leave(gone, before)
}

// helmFor is the helm of ch for the releases of an applier, nil if there is none.
// With carryOver, an applier and a helm that nobody has declared, and that are
// gone only because nothing is declared any more that needs them, stay as long as
// the configuration has no other. e.mu is held.
func (e *Engine) helmFor(ch *change, c *candidate, d releaseDeclaration, carryOver bool) *node {
	appliers := 0
	for _, n := range ch.nodes {
		if n.isHelm() && n.helm.cfg.Applier == d.applier {
			return n
		}
		if n.isApplier() {
			appliers++
		}
	}
	h, a := e.nodes[d.helm], e.nodes[d.applier]
	if !carryOver || h == nil || a == nil || !h.helm.cfg.Implicit || appliers > 0 {
		return nil
	}
	for _, n := range []*node{h, a} {
		ch.nodes[n.id] = n
		e.reopen(ch, c, n)
	}
	return h
}

// stays says where a release is left, and how to end it.
func (r *releaseNode) stays() string {
	return fmt.Sprintf("the release %s/%s stays installed, where nothing manages it (helm uninstall -n %s %s)", r.record.Ref.Namespace, r.record.Ref.Name, r.record.Ref.Namespace, r.record.Ref.Name)
}

// recallRelease gives n what an earlier process knew of it. A record of another
// cluster is not good for this one. e.mu is held.
func (e *Engine) recallRelease(n *node, d releaseDeclaration) {
	stored, ok, err := releaseRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	n.release = &releaseNode{}
	if ok && !e.dropped[n.id] {
		n.release = stored.recalled()
		n.release.leaving = nil
		n.view.LastReady = stored.Ready
	}
	n.release.declared = d
	if r := n.release.report; r != nil {
		n.view.Revision = releaseRevision(*r)
	}
}

// leaveUndeclared has the releases go whose blocks left the configuration while
// no daemon ran. It returns the ids that it takes care of.
func (e *Engine) leaveUndeclared(ids []string) (cared map[string]bool) {
	cared = map[string]bool{}
	e.mu.Lock()
	defer e.mu.Unlock()
	ch := &change{nodes: e.nodes}
	var gone []*node
	declared := 0
	for _, n := range e.nodes {
		if n.release != nil {
			declared++
		}
	}
	for _, id := range ids {
		stored, ok, err := releaseRecords.Get(e.store, id)
		if err != nil || !ok || e.nodes[id] != nil || e.nodes[stored.Helm] == nil {
			continue
		}
		if stored.Resource != nil && stored.Leaving == nil {
			cared[id] = true // the first pass over the custom resources tells
			continue
		}
		n := e.undeclared(id, stored)
		if n == nil {
			continue
		}
		cared[id] = true
		if stored.Leaving != nil {
			e.nodes[id] = n
			ch.changed = append(ch.changed, id)
			continue
		}
		gone = append(gone, n)
	}
	ch.leave(gone, declared+len(gone))
	if len(ch.changed) > 0 {
		e.relink()
	}
	for _, id := range ch.changed {
		e.recorder.mark(id)
		e.schedulePart(e.nodes[id])
		e.triggerLocked(id, sched.Interval)
	}
	return cared
}

// undeclared is the node of a release that is not declared any more and is to be
// uninstalled by its record, nil if nothing is to be done. e.mu is held.
func (e *Engine) undeclared(id string, stored storedRelease) *node {
	n := &node{id: id, release: stored.recalled(), view: Node{ID: id, State: Waiting, Reason: "for its first run", Since: now()}}
	if stored.Target != e.targetOf(n.release.declared) || stored.Keep || !n.release.installed() || heirOf(e.nodes, n) != nil {
		return nil
	}
	n.suspension = e.recallSuspension(id)
	return n
}

// planUndeclared tells of the releases that the next daemon uninstalls, since their
// blocks left the configuration.
func (e *Engine) planUndeclared() ([]PlanResult, error) {
	ids, err := releaseRecords.IDs(e.store)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	slices.Sort(ids)
	e.mu.Lock()
	defer e.mu.Unlock()
	var results []PlanResult
	for _, id := range ids {
		stored, ok, err := releaseRecords.Get(e.store, id)
		if err != nil || !ok || e.nodes[id] != nil || e.nodes[stored.Helm] == nil || stored.Resource != nil {
			continue
		}
		n := e.undeclared(id, stored)
		if n == nil {
			continue
		}
		ref := n.release.record.Ref
		reason := fmt.Sprintf("Its block is not in the configuration any more: a daemon with this configuration uninstalls %s from %s.", ref.Name, ref.Namespace)
		if n.suspension != nil {
			reason += " It waits as long as that is " + n.suspension.String() + "."
		}
		results = append(results, PlanResult{Node: id, Release: &release.Plan{State: release.OutOfSync, Action: release.ActUninstall, Reason: reason}})
	}
	return results, nil
}

// removeRelease ends a release.
func (e *Engine) removeRelease(ctx context.Context, job *releaseJob, tell func(release.Progress)) {
	e.showRemoval(job)
	text := "it stays installed, where nothing manages it"
	m := job.record.Removal()
	if m.Ref.Name == "" { // never run, or the record was lost: what is declared counts
		m = release.Removal{Owner: job.declared.spec.Owner, Ref: job.declared.spec.Ref, Uninstall: job.declared.spec.Uninstall}
	}
	if heir := e.handOver(job); heir != "" {
		text = "its release goes on as " + heir
	} else if !job.leaving.Keep {
		removed, err := e.uninstall(ctx, job, m, tell)
		if ctx.Err() != nil {
			e.abandonRelease(job, context.Cause(ctx))
			return
		}
		if err != nil {
			e.endRemoval(job, err)
			return
		}
		text = "there was nothing left of it to uninstall"
		if removed {
			text = fmt.Sprintf("uninstalled %s from %s", m.Ref.Name, m.Ref.Namespace)
		}
	}
	if err := e.releaseResource(ctx, job, text); err != nil {
		if ctx.Err() != nil {
			e.abandonRelease(job, context.Cause(ctx))
			return
		}
		e.endRemoval(job, err)
		return
	}
	e.removedRelease(job, text)
}

// uninstall removes the release, unless a namespace that goes takes it along
// whatever comes of that.
func (e *Engine) uninstall(ctx context.Context, job *releaseJob, m release.Removal, tell func(release.Progress)) (removed bool, err error) {
	doomed := job.declared.doomed(job.leaving, m.Ref)
	if doomed {
		m.Uninstall.DisableHooks, m.Uninstall.Wait = true, false // nothing new begins in such a namespace
	}
	removed, err = e.releases.runner.Remove(ctx, m, job.host, tell)
	e.mu.Lock()
	if removed || err != nil {
		e.releases.counted(string(HelmUninstall), err != nil)
	}
	e.mu.Unlock()
	if err != nil && doomed && ctx.Err() == nil {
		e.log.WarnContext(ctx, "the namespace goes: what is left of the release goes with it", "node", job.id, "err", err)
		return true, nil
	}
	return removed, err
}

func (e *Engine) showRemoval(job *releaseJob) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[job.id]; n != nil {
		n.set(Running, "uninstalling: "+job.leaving.Why, "")
		e.tellRemoval(job, nil)
		e.nodeChanged()
	}
}

// endRemoval ends a removal that has to be tried again.
func (e *Engine) endRemoval(job *releaseJob, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		return
	}
	n.release.endRun = nil
	err = fmt.Errorf("to be uninstalled (%s): %w", job.leaving.Why, releaseError(err))
	e.failed(n, err, "")
	e.tellRemoval(job, err)
	e.recorder.mark(n.id)
}

// removedRelease drops the node of a release that was removed. That of a
// resource that is there as yet goes when the resource has.
func (e *Engine) removedRelease(job *releaseJob, text string) {
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		e.mu.Unlock()
		return
	}
	reason := eventUninstalled
	if job.leaving.Keep {
		reason = eventRemoved
	}
	e.publish(n, reason, job.leaving.Why+": "+text)
	ref := job.ref()
	n.release.record, n.release.report, n.release.synced, n.release.endRun = release.Record{}, nil, "", nil
	if !job.leaving.resource || n.release.gone {
		e.drop(n)
	} else {
		e.succeeded(n, Waiting, "for the end of its resource: "+text, "its other finalizers being removed")
	}
	e.freed(n, ref)
	e.mu.Unlock()
	if err := e.deleteRecords(job.id); err != nil {
		e.log.ErrorContext(context.Background(), "cannot remove what was kept", "node", job.id, "err", err)
	}
}

// drop takes a node out that came while the configuration ran. e.mu is held.
func (e *Engine) drop(n *node) {
	n.ended = n.begun
	n.release.failTasks()
	delete(e.nodes, n.id)
	e.placeCharts() // nobody may need its chart any more
	e.relink()
	e.unschedule(n.id)
	e.nodeChanged()
}
