package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
)

const releaseRecords state.Kind[storedRelease] = "release"

// ends reports whether the job is to end the release.
func (j *releaseJob) ends() bool { return j.leaving != nil && j.task == nil }

// mayEnd ends a run that is to uninstall a release and is not to happen now: it
// waits for an approval, somebody has suspended it, or its block is gone for a
// moment only. Where another declaration goes on with the release there is nothing
// to wait for. e.mu is held.
func (e *Engine) mayEnd(n *node, l *leave.Leaving) bool {
	if l.Keep || l.Dooms(n.release.declared, n.release.record.Ref) || heirOf(e.nodes, n) != nil {
		return true
	}
	by := ""
	if n.suspension != nil {
		by = n.suspension.String()
	}
	switch obstacle, reason := l.Waits(by, now()); obstacle {
	case leave.Approval:
		if !e.waitsFor(l.Held) {
			e.publish(n, eventApproval, "waits "+reason)
		}
		n.view.Approval = l.Held
		e.succeeded(n, Waiting, reason, "sluice approve "+quoted(n.id))
	case leave.Suspension:
		e.tellWaits(n, reason)
		e.rest(n, Suspended, reason, resumeHint(n.suspension, n.id))
	case leave.Return:
		e.succeeded(n, Waiting, reason, "sluice sync "+quoted(n.id)+", or its block coming back")
		if e.times != nil {
			e.times.Postpone(n.id, time.Until(l.After))
		}
	default:
		return true
	}
	return false
}

// waitsFor reports whether a release waits already for the approval of a digest,
// which was told then. e.mu is held.
func (e *Engine) waitsFor(digest string) bool {
	for _, n := range e.nodes {
		if n.release != nil && n.view.Approval == digest {
			return true
		}
	}
	return false
}

// leave has the releases go whose blocks are not in the configuration any more,
// out of those that were declared before. e.mu is held.
func (ch *change) leave(gone []*node, before int) {
	gone = slices.DeleteFunc(gone, func(n *node) bool { return heirOf(ch.nodes, n) != nil })
	blocks := make([]leave.Block, len(gone))
	for i, n := range gone {
		blocks[i] = leave.Block{ID: n.id, Installed: n.release.hasRevision()}
	}
	left := 0
	for _, n := range ch.nodes {
		if n.release != nil && n.release.declared.Block != nil && n.release.leaving == nil {
			left++
		}
	}
	for i, l := range leave.Blocks(blocks, before, left, now()) {
		n := gone[i]
		n.release.leaving = &l
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
		if n.release.declared.Block != nil && n.release.leaving == nil {
			before++
		}
		if ch.nodes[n.id] != nil {
			continue
		}
		stays := n.release.leaving != nil || n.release.declared.Block != nil && n.release.installed() && !n.release.declared.Keeps()
		switch h := e.helmFor(ch, c, n.release.declared, stays); {
		case h == nil: // nobody is left to do it
		case n.release.declared.Resource != nil && !h.helm.cfg.Resources:
		case n.release.leaving != nil, n.release.declared.Resource != nil:
			n.release.declared.Helm = h.id
			ch.nodes[n.id] = n
		case stays:
			n.release.declared.Helm = h.id
			gone = append(gone, n)
		}
	}
	ch.leave(gone, before)
}

// helmFor is the helm of ch for the releases of an applier, nil if there is none.
// With carryOver, an applier and a helm that nobody has declared, and that are
// gone only because nothing is declared any more that needs them, stay as long as
// the configuration has no other. e.mu is held.
func (e *Engine) helmFor(ch *change, c *candidate, d declare.Declaration, carryOver bool) *node {
	appliers := 0
	for _, n := range ch.nodes {
		if n.isHelm() && n.helm.cfg.Applier == d.Applier {
			return n
		}
		if n.isApplier() {
			appliers++
		}
	}
	h, a := e.nodes[d.Helm], e.nodes[d.Applier]
	if !carryOver || h == nil || a == nil || !h.helm.cfg.Implicit || appliers > 0 {
		return nil
	}
	for _, n := range []*node{h, a} {
		ch.nodes[n.id] = n
		e.reopen(ch, c, n)
	}
	return h
}

// recallRelease gives n what an earlier process knew of it. A record of another
// cluster is not good for this one. e.mu is held.
func (e *Engine) recallRelease(n *node, d declare.Declaration) {
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
	text, err := job.leaving.End(ctx, job.declared, job.record, leave.Work{
		HandOver:  func() string { return e.handOver(job) },
		Uninstall: func(ctx context.Context, m release.Removal) (bool, error) { return e.uninstall(ctx, job, m, tell) },
		Free:      func(ctx context.Context, text string) error { return e.releaseResource(ctx, job, text) },
		Logger:    e.log.With("node", job.id),
	})
	switch {
	case err == nil:
		e.removedRelease(job, text)
	case ctx.Err() != nil:
		e.abandonRelease(job, context.Cause(ctx))
	default:
		e.endRemoval(job, err)
	}
}

// uninstall removes the release.
func (e *Engine) uninstall(ctx context.Context, job *releaseJob, m release.Removal, tell func(release.Progress)) (removed bool, err error) {
	removed, err = e.releases.runner.Remove(ctx, m, job.host, tell)
	if removed || err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.releases.tally.Add(string(byhand.Uninstall), err != nil)
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
	if !job.leaving.Resource || n.release.gone {
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
