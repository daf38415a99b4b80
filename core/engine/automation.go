package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// automationNode is what only an image automation has.
type automationNode struct {
	cfg     config.ImageAutomation
	looked  []update.Result     // what the last look has come to
	held    map[string]string   // by subject, why what was selected is not written
	landed  map[string]landing  // by subject, what was committed and may not be in the source's tree yet
	offered map[string]proposal // by subject, what was pushed to another branch
	trouble map[string]string   // by subject, what came of the last change if that was no commit
	advice  string              // what ends the trouble; empty: nobody knows
	dropped map[string]string   // by subject, why the last change was not wanted any more
	failing bool                // the trouble is new since the run that is under way began
	news    time.Time           // of images, which others may join; zero: none
	patient time.Time           // until when the first scans are waited for
	told    map[string]string   // by workload, what could not be decided and was told of
	deaf    map[string]string   // by registry, that it cannot be asked, as was told
}

// landing is a change that was committed during a run of the source, or before
// one: only a later run is sure to see it.
type landing struct {
	target string
	after  uint64
}

// proposal is a change that waits on a branch for somebody to merge it.
type proposal struct {
	Target   string `json:"target"`
	Branch   string `json:"branch"`
	Revision string `json:"revision"`
}

// automationRecord is what an automation remembers across restarts.
type automationRecord struct {
	Offered map[string]proposal `json:"offered,omitempty"`
}

// subject names a container of a workload.
func subject(workload, container string) string { return workload + " " + container }

// compareAutomation gives n the declaration a.
func (e *Engine) compareAutomation(ch *change, a config.ImageAutomation, n *node) {
	n.view.DependsOn = []string{a.Target}
	if n.automation == nil {
		n.automation = &automationNode{cfg: a, landed: map[string]landing{}, offered: map[string]proposal{}, trouble: map[string]string{}, dropped: map[string]string{}}
		e.recallAutomation(n)
	} else if before := n.automation.cfg; fingerprint(unplaced(before)) != fingerprint(unplaced(a)) {
		ch.changed = append(ch.changed, a.Address)
	}
	n.automation.cfg = a
}

// unplaced leaves out what a moved line changes.
func unplaced(a config.ImageAutomation) config.ImageAutomation {
	a.Range, a.MessageRange = diag.Range{}, diag.Range{}
	return a
}

// recallAutomation restores what an automation has offered. e.mu is held.
func (e *Engine) recallAutomation(n *node) {
	r, ok, err := automationRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	if ok && r.Offered != nil {
		n.automation.offered = r.Offered
	}
}

// runAutomation looks once whether images of a sync are to be replaced, and
// hands what is to be written to the queue.
func (e *Engine) runAutomation(ctx context.Context, id string) {
	cfg, running, ok := e.beginAutomation(id)
	if !ok {
		return
	}
	look, err := e.lookForUpdates(ctx, id, cfg, running)
	if ctx.Err() != nil {
		e.abandon(id)
		return
	}
	e.endAutomation(id, look, err)
}

// beginAutomation decides whether the automation can look.
func (e *Engine) beginAutomation(id string) (cfg config.ImageAutomation, running []Workload, ok bool) {
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
func (e *Engine) endAutomation(id string, l *look, err error) {
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
	a.looked, a.held = l.results, l.held
	e.forgetOffers(n, l)
	if files, ok := e.nodes[a.cfg.Target].files(); ok {
		n.showRevision(e.nodes[files.Source].source.revision)
	}
	for _, m := range []map[string]string{a.trouble, a.dropped} {
		maps.DeleteFunc(m, func(sub string, _ string) bool { return !l.wants(sub) })
	}
	e.concludeAutomation(n, l)
	n.view.Problems = slices.Concat(n.view.Problems, l.problems)
	e.tellResults(n, l.results)
	e.tellUnasked(n, l.unasked)
	if !l.next.IsZero() {
		e.dueBy(id, l.next)
	}
}

// concludeAutomation ends a run with what a look has come to, unless what was
// decided before could not be written. That was counted as a failure when it
// came out. e.mu is held.
func (e *Engine) concludeAutomation(n *node, l *look) {
	a := n.automation
	text, failing := a.troubleText(), a.failing
	a.failing = false
	waits := e.waits(n)
	switch {
	case waits != "":
		e.rest(n, Waiting, waits, "the next try of the commit")
	case text == "":
		e.succeeded(n, Ready, l.String(), "")
	case failing:
		e.failed(n, errors.New(text), a.advice)
	default:
		n.set(Failed, text, cmp.Or(a.advice, n.view.Unblock))
		if s := n.suspended(); s != nil {
			n.set(Suspended, s.String(), resumeHint(s, n.id))
		}
		e.over(n)
	}
}

// waits says why what an automation has decided is not written yet, "" if nothing
// keeps it from that. e.mu is held.
func (e *Engine) waits(n *node) string {
	count, why := e.updating.queue.Waits(func(c writeback.Change) bool { return c.Cause.Job == n.id })
	if why == nil {
		return ""
	}
	return fmt.Sprintf("waits to write %s: %s", many(count, "change"), oneLine(why))
}

// commitsWait implements writeback.Options.Waiting: automations show what their
// changes wait for. One that runs does so at its end.
func (e *Engine) commitsWait(source string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		if n.automation == nil || n.busy() || n.suspended() != nil {
			continue
		}
		if files, _ := e.nodes[n.automation.cfg.Target].files(); files.Source != source {
			continue
		}
		if text := e.waits(n); text != "" {
			n.set(Waiting, text, "the next try of the commit")
			e.nodeChanged()
		}
	}
}

// dueBy has a node run no later than at. e.mu is held.
func (e *Engine) dueBy(id string, at time.Time) {
	if next, ok := e.times.Next(id); !ok || at.Before(next) {
		e.times.Postpone(id, max(time.Until(at), 0))
	}
}

// forgetOffers drops what was remembered of a change and is wanted no more. e.mu
// is held.
func (e *Engine) forgetOffers(n *node, l *look) {
	before := len(n.automation.offered)
	maps.DeleteFunc(n.automation.offered, func(sub string, _ proposal) bool { return !l.wants(sub) })
	if len(n.automation.offered) != before {
		e.recorder.mark(n.id)
	}
	maps.DeleteFunc(n.automation.landed, func(sub string, _ landing) bool { return !l.wants(sub) })
}

// noteAutomated takes over what became of changes by an automation, or of its
// reverts, that ended together.
func (e *Engine) noteAutomated(id string, ended []writeback.Ended) {
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil || n.automation == nil {
		e.mu.Unlock()
		return
	}
	a := n.automation
	var followed []gate.Watch
	offered, failed := false, false
	for _, end := range ended {
		c, o := end.Change, end.Outcome
		offered = offered || c.Branch != ""
		if o.Refused {
			a.advice = e.adviceFor(id, c)
		}
		for i := range c.Edits {
			failed = e.noteEdit(a, c, o, i) || failed
			if w, ok := e.watchOf(a.cfg, c, o, i); ok {
				followed = append(followed, w)
			}
		}
	}
	e.concludeCommit(n, failed)
	if offered && !failed {
		e.triggerLocked(id, sched.Webhook) // no revision of the source will
	}
	e.mu.Unlock()
	if offered {
		e.recorder.mark(id)
	}
	e.followAll(followed)
}

// noteEdit takes over what became of edit i of a change, and reports whether that
// is a failure. e.mu is held.
func (e *Engine) noteEdit(a *automationNode, c writeback.Change, o writeback.Outcome, i int) (failed bool) {
	src := e.nodes[c.Source]
	for _, sub := range subjectsOf(e.setup().book, c.Edits[i]) {
		delete(a.trouble, sub)
		delete(a.dropped, sub)
		switch {
		case slices.Contains(o.Withdrawn, i):
			a.dropped[sub] = whyNot(o, i)
		case !written(o, i):
			a.trouble[sub], failed = whyNot(o, i), true
		case c.Branch != "":
			a.offered[sub] = proposal{Target: c.Edits[i].Image, Branch: c.Branch, Revision: o.Revision.ID}
		case src != nil:
			a.landed[sub] = landing{target: c.Edits[i].Image, after: e.lastBefore(src, o.Revision.ID)}
		}
	}
	return failed
}

// concludeCommit shows what a try has come to: one failure, however much it was
// about. A run that is under way ends with it. e.mu is held.
func (e *Engine) concludeCommit(n *node, failed bool) {
	a := n.automation
	text := a.troubleText()
	switch {
	case text == "":
		a.advice = ""
		if n.view.State == Failed || n.view.State == Waiting {
			e.triggerLocked(n.id, sched.Webhook)
		}
	case failed && n.busy():
		a.failing = true
	case failed:
		e.failed(n, errors.New(text), a.advice)
	}
}

// adviceFor says what a person can do about a source that refuses a commit.
// e.mu is held.
func (e *Engine) adviceFor(id string, c writeback.Change) string {
	branch := c.Branch
	if src := e.nodes[c.Source]; branch == "" && src != nil && src.source != nil {
		branch = src.source.revision.Ref
	}
	text := fmt.Sprintf("write access of %s to %s (write { }, and a key that the server lets push there)", c.Source, cmp.Or(branch, "its branch"))
	if c.Branch == "" {
		text += fmt.Sprintf(", or branch = \"...\" in %s, for a pull request", id)
	}
	return text
}

// lastBefore is the last run of a source that may not have seen a revision that
// stands in it now. One that nobody here has committed was in its tree already.
// e.mu is held.
func (e *Engine) lastBefore(src *node, revision string) uint64 {
	if run, ok := e.updating.marks.runs[revision]; ok {
		return run
	}
	return max(src.source.resolved, 1) - 1
}

// troubleText sums up what could not be written.
func (a *automationNode) troubleText() string {
	if len(a.trouble) == 0 {
		return ""
	}
	first := slices.Sorted(maps.Keys(a.trouble))[0]
	text := "not written: " + strings.TrimSpace(first) + ": " + a.trouble[first]
	if n := len(a.trouble) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
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
