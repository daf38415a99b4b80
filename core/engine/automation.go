package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// automationNode is what only an image automation has. What it remembers of its
// work is the Updater's.
type automationNode struct {
	cfg     config.ImageAutomation
	last    *updates.Look // what the last look has come to; nil before the first
	failing bool          // there is trouble that came since the run that is under way began
	news    time.Time     // of images, which others may join; zero: none
	patient time.Time     // until when the first scans are waited for
}

// compareAutomation gives n the declaration a.
func (e *Engine) compareAutomation(ch *change, a config.ImageAutomation, n *node) {
	n.view.DependsOn = []string{a.Target}
	if n.automation == nil {
		n.automation = &automationNode{cfg: a}
		e.recallAutomation(n.id)
	} else if before := n.automation.cfg; digest.Of(unplaced(before)) != digest.Of(unplaced(a)) {
		ch.changed = append(ch.changed, a.Address)
	}
	n.automation.cfg = a
}

// unplaced leaves out what a moved line changes.
func unplaced(a config.ImageAutomation) config.ImageAutomation {
	a.Range, a.MessageRange = diag.Range{}, diag.Range{}
	return a
}

// recallAutomation restores what an automation has offered.
func (e *Engine) recallAutomation(id string) {
	if e.updates == nil {
		return
	}
	if err := e.updates.Recall(id); err != nil {
		e.log.Warn("cannot recall", "node", id, "err", err)
	}
}

// runAutomation looks once whether images of a sync are to be replaced, and
// hands what is to be written to the queue.
func (e *Engine) runAutomation(ctx context.Context, id string) {
	cfg, running, ok := e.beginAutomation(id)
	if !ok {
		return
	}
	look, err := e.updates.Look(ctx, cfg, running)
	if ctx.Err() != nil {
		e.abandon(id)
		return
	}
	e.endAutomation(id, look, err)
}

// beginAutomation decides whether the automation can look.
func (e *Engine) beginAutomation(id string) (cfg config.ImageAutomation, running []workload.Workload, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.automation == nil {
		return cfg, nil, false // removed meanwhile
	}
	n.begin()
	cfg = n.automation.cfg
	if s := n.suspended(); s != nil {
		e.rest(n, Suspended, s.String(), resumeHint(s, id))
		return cfg, nil, false
	}
	if by, lack := e.automationObstacle(cfg); by != nil {
		e.blocked(n, by, lack)
		return cfg, nil, false
	}
	files, _ := e.nodes[cfg.Target].files()
	if e.running.readOnly[files.Source] {
		e.rest(n, Blocked, readOnlyText(files.Source), "write { } in the block of "+files.Source)
		return cfg, nil, false
	}
	if images.Mode(e.running.cfg.Images.Scan) == images.None {
		e.rest(n, Waiting, "no registry is scanned", "another images { scan } in the configuration")
		return cfg, nil, false
	}
	if text := e.awaitsScans(n); text != "" {
		e.rest(n, Waiting, text, fmt.Sprintf("the first scans; it waits for %s at most", firstPatience))
		e.dueBy(id, time.Now().Add(firstStep)) // nobody tells of scans that fail
		return cfg, nil, false
	}
	return cfg, e.workloads[files.Applier], true
}

// automationObstacle returns the node that an automation has to wait for. A
// revision that only an earlier process has seen may lack what that has pushed.
// e.mu is held.
func (e *Engine) automationObstacle(cfg config.ImageAutomation) (by *node, lack string) {
	sync, ok := e.nodes[cfg.Target].files()
	if !ok {
		return e.nodes[cfg.Target], "has no files of values"
	}
	src := e.nodes[sync.Source]
	switch {
	case src.source.tree == nil:
		return src, "has no revision yet"
	case src.source.resolved == 0:
		return src, "has not been asked for its newest revision yet"
	}
	if sync.Renderer != "" && e.nodes[sync.Renderer].handle == nil {
		return e.nodes[sync.Renderer], "is not open"
	}
	return nil, ""
}

// endAutomation shows what a look has come to.
func (e *Engine) endAutomation(id string, l *updates.Look, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.automation == nil {
		return
	}
	if err != nil {
		e.failed(n, err, "")
		return
	}
	a := n.automation
	a.last = l
	news, recorded := e.updates.Looked(id, l)
	if recorded {
		e.recorder.mark(id)
	}
	if files, ok := e.nodes[a.cfg.Target].files(); ok {
		n.showRevision(e.nodes[files.Source].source.revision)
	}
	e.concludeAutomation(n, l)
	n.view.Problems = slices.Concat(n.view.Problems, l.Problems)
	for _, ev := range news {
		e.bus.Publish(ev)
	}
	if !l.Next.IsZero() {
		e.dueBy(id, l.Next)
	}
}

// concludeAutomation ends a run with what a look has come to, unless what was
// decided before could not be written. That was counted as a failure when it
// came out. e.mu is held.
func (e *Engine) concludeAutomation(n *node, l *updates.Look) {
	a := n.automation
	text, advice := e.updates.Trouble(n.id)
	failing := a.failing
	a.failing = false
	waits := e.updates.Waits(n.id)
	switch {
	case waits != "":
		e.rest(n, Waiting, waits, "the next try of the commit")
	case text == "":
		e.succeeded(n, Ready, l.String(), "")
	case failing:
		e.failed(n, errors.New(text), advice)
	default:
		n.set(Failed, text, cmp.Or(advice, n.view.Unblock))
		if s := n.suspended(); s != nil {
			n.set(Suspended, s.String(), resumeHint(s, n.id))
		}
		e.over(n)
	}
}

// concluded shows what a try to write what an automation wants has come to: one
// failure, however much it was about. A run that is under way ends with it.
func (e *Engine) concluded(id string, o updates.Outcome) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.automation == nil {
		return
	}
	if o.Waits != "" {
		e.showWait(n, o.Waits)
		return
	}
	switch {
	case o.Trouble == "":
		if n.view.State == Failed || n.view.State == Waiting {
			e.triggerLocked(id, sched.Webhook)
		}
	case o.Failed && n.busy():
		n.automation.failing = true
	case o.Failed:
		e.failed(n, errors.New(o.Trouble), o.Advice)
	}
	if o.Offered {
		e.recorder.mark(id)
		if !o.Failed {
			e.triggerLocked(id, sched.Webhook) // no revision of the source will
		}
	}
	e.followRollouts()
}

// showWait shows what the changes of an automation wait for. One that runs does
// so at its end. e.mu is held.
func (e *Engine) showWait(n *node, text string) {
	if n.busy() || n.suspended() != nil {
		return
	}
	n.set(Waiting, text, "the next try of the commit")
	e.nodeChanged()
}

// dueBy has a node run no later than at. e.mu is held.
func (e *Engine) dueBy(id string, at time.Time) {
	if next, ok := e.times.Next(id); !ok || at.Before(next) {
		e.times.Postpone(id, max(time.Until(at), 0))
	}
}

// lookSoon has the automations of a sync look, or with "" all. One that gathers
// news will look anyway. e.mu is held.
func (e *Engine) lookSoon(sync string, p sched.Priority) {
	for id, n := range e.nodes {
		if n.automation != nil && n.automation.news.IsZero() && (sync == "" || n.automation.cfg.Target == sync) {
			e.triggerLocked(id, p)
		}
	}
}

// explainAutomation tells what an automation does, and of everything that it
// leaves as it is, why. e.mu is held.
func (e *Engine) explainAutomation(n *node) []string {
	if e.updates == nil {
		return nil
	}
	return e.updates.Explain(n.automation.cfg, n.automation.last, n.view.Problems)
}
