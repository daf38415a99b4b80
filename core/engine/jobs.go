package engine

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk"
)

// resumeKey is the timetable's key for the end of a suspension.
const resumeKey = "resume "

// due is called by the timetable when a node's time has come.
func (e *Engine) due(key string) {
	if id, ok := strings.CutPrefix(key, resumeKey); ok {
		e.expire(id)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if id, ok := strings.CutPrefix(key, discoverKey); ok {
		e.times.Succeeded(key)
		e.discoverLocked(id)
		return
	}
	if id, ok := strings.CutPrefix(key, newsKey); ok {
		e.gatherNews(id)
		return
	}
	if key == gateKey {
		e.pool.Submit(gateKey, sched.Interval, e.lookAtRollouts)
		return
	}
	if n := e.nodes[key]; n != nil && !n.busy() { // what is under way is fresh enough
		e.triggerLocked(key, sched.Interval)
	}
}

// trigger has the node run as soon as a worker is free. It never blocks.
func (e *Engine) trigger(id string, p sched.Priority) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.triggerLocked(id, p)
}

func (e *Engine) triggerLocked(id string, p sched.Priority) {
	n := e.nodes[id]
	if n == nil || !e.alive || e.selected != nil && !e.selected[id] {
		return
	}
	if n.queued {
		if _, waiting := e.pool.State(id); !waiting {
			return // about to begin: it will see what there is now
		}
	}
	var run func(context.Context, string)
	switch {
	case n.source != nil:
		run = e.runSource
	case n.sync != nil:
		run = e.runSync
	case n.automation != nil:
		run = e.runAutomation
	case n.release != nil:
		run = e.runRelease
	default:
		run = e.runInstance
	}
	if e.pool.Submit(id, p, func(ctx context.Context) { run(ctx, id) }) {
		n.queued = true
	}
}

// rest ends a run that could not do anything. e.mu is held.
func (e *Engine) rest(n *node, state State, reason, unblock string) {
	n.set(state, reason, unblock)
	if e.times != nil {
		e.times.Succeeded(n.id) // not a failure: the interval goes on
	}
	e.over(n)
}

// over marks the end of a run, whose outcome n shows. e.mu is held.
func (e *Engine) over(n *node) {
	n.ended = n.begun
	n.outcome = outcome{run: n.begun, view: e.show(n)}
	e.nodeChanged()
}

// succeeded ends a run that went well. e.mu is held.
func (e *Engine) succeeded(n *node, state State, reason, unblock string) {
	recovered := n.view.Failures > 0
	n.failure = nil
	n.view.Failures, n.view.LastRun, n.view.Problems = 0, now(), n.warnings
	if state == Ready {
		n.view.LastReady = n.view.LastRun
	}
	n.set(state, reason, unblock)
	if s := n.suspended(); s != nil {
		n.set(Suspended, s.String(), resumeHint(s, n.id))
	}
	if e.times != nil {
		e.times.Succeeded(n.id)
	}
	if recovered && state == Ready {
		e.publish(n, eventRecovered, reason)
	}
	n.said = ""
	e.over(n)
}

// failed ends a run that did not, and plans the next: with back-off, when the
// plugin says, or at the interval if trying again is pointless. unblock may be
// empty. Where the target does not answer that is the reason, which nobody needs to
// be told again. e.mu is held.
func (e *Engine) failed(n *node, err error, unblock string) {
	n.failure = err
	if by := e.awayFor(n); by != nil {
		e.log.Debug("failed while the target does not answer", "node", n.id, "err", err)
		e.blocked(n, by, lacksTarget)
		return
	}
	n.view.Failures++
	n.view.LastRun = now()
	n.view.Problems = slices.Concat(problemsOf(err), n.warnings)
	n.set(Failed, words.OneLine(err), unblock)
	if s := n.suspended(); s != nil {
		n.set(Suspended, s.String(), resumeHint(s, n.id))
	}
	if e.times != nil {
		e.retry(n, err)
	}
	if n.view.Unblock == "" && !e.oneShot() {
		n.view.Unblock = "the next attempt, or a change of what it depends on"
	}
	if e.say(n, eventFailed, n.view.Reason) {
		e.logProblems(n)
	}
	e.over(n)
	e.tellDependents(n.id)
}

// tellDependents has the nodes look again that id may have held back, also
// through others, or that have not looked yet. A blocked one then knows what id
// has come to. e.mu is held.
func (e *Engine) tellDependents(id string) {
	for _, d := range e.graph.AllDependents(id) {
		if n := e.nodes[d]; n != nil && (n.view.State == Blocked || n.begun == 0) {
			e.triggerLocked(d, sched.Webhook)
		}
	}
}

func (e *Engine) retry(n *node, err error) {
	if sdk.IsPermanent(err) {
		e.times.Succeeded(n.id)
		return
	}
	e.times.Failed(n.id)
	if d, ok := sdk.RetryDelay(err); ok {
		e.times.Postpone(n.id, d)
	}
}

// abandon ends a run that was cancelled: whoever cancelled it knows what
// comes next.
func (e *Engine) abandon(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return
	}
	if !n.queued {
		n.ended = n.begun
	}
	n.set(Waiting, "for the next run", "")
	e.nodeChanged()
}
