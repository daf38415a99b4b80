package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/words"
)

// outage says that the target of an applier does not answer.
type outage struct {
	since time.Time // when we were told
	text  string    // why, for people
}

const (
	checkInterval = 10 * time.Second // of appliers: their plugins tell from what they know already
	checkTimeout  = 5 * time.Second
)

// checkAppliers asks each open applier, again and again until ctx ends, whether
// its target answers. Runs would find out as well, each for itself and only when
// it has tried for long.
func (e *Engine) checkAppliers(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		e.checkOnce(ctx)
	}
}

func (e *Engine) checkOnce(ctx context.Context) {
	e.mu.Lock()
	open := map[string]instance{}
	for id, n := range e.nodes {
		if n.isApplier() && n.handle != nil {
			open[id] = n.handle
		}
	}
	e.mu.Unlock()
	asking, cancel := deadline.Within(ctx, checkTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for id, in := range open {
		wg.Go(func() {
			if answered, problem := in.Check(asking); answered {
				e.noteCheck(id, in, problem)
			}
		})
	}
	wg.Wait()
}

// noteCheck takes note of whether the target of an applier answers, and tells when
// that has changed. Whoever was held back meanwhile looks again then.
func (e *Engine) noteCheck(id string, in instance, problem error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	switch {
	case n == nil || n.handle != in || !e.alive:
	case problem != nil && n.away == nil:
		n.away = &outage{since: now(), text: words.OneLine(problem)}
		e.publish(n, eventUnreachable, n.away.text+": what depends on it waits")
		e.showAway(n)
	case problem != nil && n.away.text != words.OneLine(problem):
		n.away.text = words.OneLine(problem)
		e.showAway(n)
	case problem == nil && n.away != nil:
		took := now().Sub(n.away.since).Round(time.Second)
		n.away, n.failure = nil, nil
		n.set(Ready, "open", "")
		e.publish(n, eventReachable, fmt.Sprintf("it answers again, after %s", took))
		e.nodeChanged()
		e.tellDependents(id)
	}
}

// showAway has n, an applier, show that its target does not answer. e.mu is held.
func (e *Engine) showAway(n *node) {
	n.failure = errors.New(n.away.text)
	n.set(Failed, n.away.text, "its answer")
	e.nodeChanged()
}

// awayFor returns the applier that n cannot do without and whose target does not
// answer, nil if there is none. e.mu is held.
func (e *Engine) awayFor(n *node) *node {
	var id string
	switch {
	case n.sync != nil:
		id = n.sync.cfg.Applier
	case n.release != nil:
		id = n.release.declared.Applier
	case n.isHelm():
		id = n.helm.cfg.Applier
	}
	if a := e.nodes[id]; a != nil && a.away != nil {
		return a
	}
	return nil
}

// lacksTarget is what an applier lacks whose target does not answer.
const lacksTarget = "cannot be reached"

// noteAway shows a node that cannot do anything as blocked, whatever it has come
// to or is trying as yet. e.mu is held.
func (e *Engine) noteAway(n *node, v *Node) {
	by := e.awayFor(n)
	if by == nil || v.State != Ready && v.State != Running {
		return
	}
	v.Reason = fmt.Sprintf("%s %s (%s); before: %s", by.id, lacksTarget, by.away.text, v.Reason)
	v.State, v.Since, v.Unblock = Blocked, by.away.since, by.id+" being ready"
}

// startChecking has the appliers asked until the engine is closed.
func (e *Engine) startChecking() {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() { e.checkAppliers(ctx) })
	e.onClose(func(context.Context) error {
		cancel()
		asking.Wait()
		return nil
	})
}
