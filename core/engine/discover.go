package engine

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// discoverKey is the key, in the timetable and the pool, of looking what runs
// at an applier.
const discoverKey = "workloads "

const (
	discoverTimeout = 2 * time.Minute  // of one look
	discoverDelay   = 10 * time.Second // after a sync changed something, so that one look serves many
)

// discoverSoon has somebody look what runs at an applier after something
// changed there. e.mu is held.
func (e *Engine) discoverSoon(id string) {
	if e.imaging == nil {
		return
	}
	key := discoverKey + id
	if at, ok := e.times.Next(key); ok && time.Until(at) > discoverDelay {
		e.times.Postpone(key, discoverDelay)
	}
}

// discoverLocked has somebody look what runs at an applier, so that the scanner
// knows which images matter. e.mu is held.
func (e *Engine) discoverLocked(id string) {
	n := e.nodes[id]
	if n == nil || n.handle == nil || !e.alive || e.imaging == nil || !n.handle.Has(applier.CanListWorkloads) {
		return
	}
	if images.Mode(e.running.cfg.Images.Scan) == images.None {
		return
	}
	e.pool.Submit(discoverKey+id, sched.Interval, func(ctx context.Context) { e.discover(ctx, id) })
}

func (e *Engine) discover(ctx context.Context, id string) {
	looking, cancel := deadline.Within(ctx, discoverTimeout)
	defer cancel()
	found, err := e.Workloads(looking, workload.Request{Applier: id})
	if err != nil {
		if ctx.Err() == nil {
			e.log.WarnContext(ctx, "cannot tell which images run: what was known last counts on", "node", id, "err", deadline.Because(looking, err))
		}
		return
	}
	e.mu.Lock()
	if e.nodes[id] == nil {
		e.mu.Unlock()
		return
	}
	before := e.workloads[id]
	e.tellWarnings(before, found.Workloads)
	e.workloads[id] = found.Workloads
	if !slices.EqualFunc(before, found.Workloads, workload.SameImages) {
		e.lookAround(id)
	}
	e.mu.Unlock()
	e.retarget()
}

// lookAround has the automations look whose syncs apply to an applier. e.mu is
// held.
func (e *Engine) lookAround(applier string) {
	for id, n := range e.nodes {
		if n.automation == nil {
			continue
		}
		if files, _ := e.nodes[n.automation.cfg.Target].files(); files.Applier == applier {
			e.triggerLocked(id, sched.Webhook)
		}
	}
}

// retarget hands the scanner what runs everywhere. Two looks that end together
// must not hand over in another order than they collected.
func (e *Engine) retarget() {
	e.imaging.retargeting.Lock()
	defer e.imaging.retargeting.Unlock()
	e.mu.Lock()
	targets := e.targetsLocked()
	e.mu.Unlock()
	e.imaging.scanner.SetTargets(targets)
}

// tellWarnings tells of what is wrong with the annotations of workloads, and was
// not before. e.mu is held.
func (e *Engine) tellWarnings(before, now []workload.Workload) {
	told := map[string]bool{}
	for _, w := range before {
		for _, text := range w.Warnings {
			told[w.ID+text] = true
		}
	}
	for _, w := range now {
		for _, text := range w.Warnings {
			if told[w.ID+text] {
				continue
			}
			e.bus.Publish(event.Event{Node: w.Applier, Object: w.ID, Reason: eventBadPolicy, Severity: event.Warning, Message: w.ID + ": " + text})
			e.log.Warn(text, "node", w.Applier, "workload", w.ID)
		}
	}
}

// targetsLocked are all containers of which something is known, and what
// policies name for markers. e.mu is held.
func (e *Engine) targetsLocked() []images.Target {
	book := e.setup().Book
	targets := book.Targets()
	for _, list := range e.workloads {
		for _, w := range list {
			for _, c := range w.Containers {
				if t, err := book.Target(w, c); err == nil {
					targets = append(targets, t)
				}
			}
		}
	}
	return targets
}

// scheduleDiscovery has each applier looked at as often as repositories are, and
// soon if it is open already: a reload may have asked for scans. e.mu is held.
func (e *Engine) scheduleDiscovery() {
	if e.imaging == nil {
		return
	}
	every := e.running.cfg.Images.Interval
	for id, n := range e.nodes {
		if n.isApplier() {
			e.times.Set(discoverKey+id, every, every)
			if n.handle != nil {
				e.discoverSoon(id)
			}
		}
	}
}

// forgetWorkloads drops what ran at appliers that are declared no more.
func (e *Engine) forgetWorkloads() {
	if e.imaging == nil {
		return
	}
	e.mu.Lock()
	for id := range e.workloads {
		if e.nodes[id] == nil {
			delete(e.workloads, id)
		}
	}
	e.mu.Unlock()
	e.retarget()
}
