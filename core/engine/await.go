package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
)

// SyncAndWait has syncs run with the newest revisions of their sources, waits
// until each of them has come to a state in which it stays, and returns them
// in the order of their ids. progress may be nil; it is called one at a time,
// and misses steps rather than holding the work up.
//
// A sync that is blocked by what nobody is working on counts as at its end.
func (e *Engine) SyncAndWait(ctx context.Context, req SyncRequest, progress func(Progress)) ([]Detail, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	ids, err := e.syncTargets(req.Names)
	if err != nil {
		return nil, err
	}
	stop := e.listen(slices.Concat(ids, e.sourcesOf(ids)), progress)
	defer stop()
	e.forgive(ids, len(req.Names) > 0)
	return e.runAndWait(ctx, ids)
}

// runAndWait runs the sources of syncs, then the syncs.
func (e *Engine) runAndWait(ctx context.Context, ids []string) ([]Detail, error) {
	before := e.ended(ids)
	if err := e.await(ctx, e.submit(e.sourcesOf(ids), nil)); err != nil {
		return nil, err
	}
	e.lookWhatRuns(ctx, ids)
	if err := e.await(ctx, e.submit(ids, before)); err != nil {
		return nil, err
	}
	return e.outcomes(ids), nil
}

// lookWhatRuns asks the appliers of image automations what runs: somebody wants
// to know what comes of what there is now.
func (e *Engine) lookWhatRuns(ctx context.Context, ids []string) {
	e.mu.Lock()
	var appliers []string
	for _, id := range ids {
		if n := e.nodes[id]; n != nil && n.automation != nil && e.imaging != nil {
			files, _ := e.nodes[n.automation.cfg.Target].files()
			appliers = append(appliers, files.Applier)
		}
	}
	e.mu.Unlock()
	slices.Sort(appliers)
	for _, id := range slices.Compact(appliers) {
		e.discover(ctx, id)
	}
}

// outcomes returns what the last runs of syncs have come to, also if the next
// ones have begun.
func (e *Engine) outcomes(ids []string) []Detail {
	details := make([]Detail, len(ids))
	for i, id := range ids {
		details[i] = e.detail(id)
		e.mu.Lock()
		if n := e.nodes[id]; n != nil && n.outcome.run > 0 {
			details[i] = Detail{Node: n.outcome.view, Report: n.outcome.report, Release: n.outcome.made}
		}
		e.mu.Unlock()
		e.blameSource(&details[i])
	}
	return details
}

// blameSource makes a sync that was asked for fail with its source: what it
// has applied is not what is newest.
func (e *Engine) blameSource(d *Detail) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[d.Node.ID]
	if n == nil || n.sync == nil || d.Node.State != Ready {
		return
	}
	if src := e.nodes[n.sync.cfg.Source]; src != nil && src.failure != nil {
		d.Node.State, d.Node.Problems = Failed, src.view.Problems
		d.Node.Reason = fmt.Sprintf("%s: %s", src.id, words.OneLine(src.failure))
	}
}

// ended returns the last run of each node that has ended.
func (e *Engine) ended(ids []string) map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	runs := map[string]uint64{}
	for _, id := range ids {
		if n := e.nodes[id]; n != nil {
			runs[id] = n.ended
		}
	}
	return runs
}

// submit triggers nodes and returns, for each, the number of the run to wait
// for. That is one that has not begun yet, unless one after before has the
// newest tree: its source has seen to it.
func (e *Engine) submit(ids []string, before map[string]uint64) map[string]uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	runs := map[string]uint64{}
	for _, id := range ids {
		n := e.nodes[id]
		if n == nil {
			continue
		}
		if before != nil && n.queued {
			runs[id] = n.begun + 1
			continue
		}
		if before != nil && n.sync != nil && n.begun > before[id] && n.sync.tree == e.nodes[n.sync.cfg.Source].source.digest() {
			runs[id] = n.begun
			continue
		}
		if n.sync != nil && n.sync.endWait != nil {
			n.sync.endWait(errSuperseded)
		}
		runs[id] = n.begun + 1
		e.triggerLocked(id, sched.Interactive)
	}
	return runs
}

// await waits until each node has ended its run and rests.
func (e *Engine) await(ctx context.Context, runs map[string]uint64) error {
	for {
		e.mu.Lock()
		done := true
		for id, run := range runs {
			done = done && e.restsAfter(id, run)
		}
		changed, alive := e.changed, e.alive
		e.mu.Unlock()
		if done {
			return nil
		}
		if !alive {
			return errStopping
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// restsAfter reports whether run, or one after it, has come to its end. The end
// of one that was blocked counts only when nothing is under way that may
// unblock it. e.mu is held.
func (e *Engine) restsAfter(id string, run uint64) bool {
	n := e.nodes[id]
	if n == nil {
		return true
	}
	if n.outcome.run < run {
		return false
	}
	if n.outcome.view.State != Blocked {
		return true
	}
	for _, dep := range e.graph.AllDependencies(id) {
		if e.nodes[dep].busy() {
			return false
		}
	}
	return !n.busy()
}

// watcher passes the progress of some nodes on.
type watcher struct {
	nodes map[string]bool
	steps chan Progress
}

// listen calls progress with the steps of nodes until stop is called.
func (e *Engine) listen(ids []string, progress func(Progress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	const buffered = 1024
	w := &watcher{nodes: map[string]bool{}, steps: make(chan Progress, buffered)}
	for _, id := range ids {
		w.nodes[id] = true
	}
	e.mu.Lock()
	e.watchers[w] = struct{}{}
	e.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for p := range w.steps {
			progress(p)
		}
	}()
	return func() {
		e.mu.Lock()
		delete(e.watchers, w)
		e.mu.Unlock()
		close(w.steps)
		<-ended
	}
}

// progress tells whoever listens. It never blocks.
func (e *Engine) progress(id string, p rollout.Progress) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.watchers {
		if !w.nodes[id] {
			continue
		}
		select {
		case w.steps <- Progress{Node: id, Progress: p}:
		default: // the listener is slow: it misses a step
		}
	}
}
