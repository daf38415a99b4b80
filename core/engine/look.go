package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// look is what one look of an automation has come to.
type look struct {
	results  []update.Result
	held     map[string]string // by subject
	wanted   map[string]bool   // subjects for which another image is selected
	changes  []writeback.Change
	next     time.Time // when something is due that nobody will tell of; zero: never
	problems []rollout.Problem
	unasked  map[string]string // by registry, that it cannot be asked and why
	source   uint64            // the run of the source that the tree is of
}

// lookForUpdates decides, and submits what is to be written. It reads what is
// known already, and asks a registry only for a digest that is about to be
// written.
func (e *Engine) lookForUpdates(ctx context.Context, id string, cfg config.ImageAutomation, running []Workload) (*look, error) {
	resolved := e.resolvedRun(cfg.Target)
	s, err := e.estate(ctx, cfg.Target, running)
	if err != nil {
		return nil, err
	}
	defer s.release()
	all := e.updatableAndLoose(ctx, s)
	l := &look{held: map[string]string{}, wanted: map[string]bool{}, source: resolved, problems: rollout.Problems(slices.Concat(s.found.Problems, s.deciders.problems))}
	l.results, l.next = update.Automate(all, now())
	if e.learnDigests(ctx, s, all) {
		l.results, l.next = update.Automate(e.updatableAndLoose(ctx, s), now())
	}
	if err := e.choose(ctx, id, cfg, s, l); err != nil {
		return nil, err
	}
	l.unasked = e.unasked(s.targets)
	if err := e.updating.queue.Submit(l.changes...); err != nil {
		return nil, err
	}
	return l, nil
}

// resolvedRun is the last run of a sync's source that has seen which revision
// is the newest.
func (e *Engine) resolvedRun(sync string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if cfg, ok := e.nodes[sync].files(); ok {
		return e.nodes[cfg.Source].source.resolved
	}
	return 0
}

// choose makes changes of the results, but for what is held back.
func (e *Engine) choose(ctx context.Context, id string, cfg config.ImageAutomation, s *estate, l *look) error {
	pending := e.pendingSubjects(cfg.Target)
	settled, err := e.soaked(id, cfg, l)
	if err != nil {
		return err
	}
	for _, r := range l.results {
		var swaps []update.Swap
		for _, sw := range r.Containers {
			sub := subject(r.ID, sw.Container)
			l.wanted[sub] = true
			reason := cmp.Or(pending[sub], e.flying(id, sub, sw.Target, l.source))
			switch {
			case reason != "":
				l.held[sub] = reason
			case settled[sub] && !e.brake(ctx, id, cfg.Target, sub, sw, l):
				swaps = append(swaps, sw)
			}
		}
		if len(swaps) > 0 {
			l.changes = append(l.changes, s.change(id, cfg, r.ID, swaps))
		}
	}
	return e.forgetSoaked(id, l)
}

// change is what an automation writes for a workload. On a branch there may be
// other images by earlier changes, which is as well.
func (s *estate) change(id string, cfg config.ImageAutomation, workload string, swaps []update.Swap) writeback.Change {
	edits := s.editsFor(workload, swaps)
	var subject writeback.Subject
	if cfg.Branch != "" {
		for i := range edits {
			subject.From = append(subject.From, edits[i].From)
			edits[i].From = ""
		}
	}
	return writeback.Change{
		ID: newID(), Source: s.sync.Source, Branch: cfg.Branch, Sync: s.sync.Address, Edits: edits,
		Cause: writeback.Cause{Kind: writeback.Automation, Job: id}, Message: cfg.Message, Subject: subject, At: now(),
	}
}

// pendingSubjects are the containers that the queue has a change for, by
// whomever.
func (e *Engine) pendingSubjects(sync string) map[string]string {
	pending := map[string]string{}
	for _, c := range e.updating.queue.Pending(sync) {
		for _, ed := range c.Edits {
			for _, sub := range subjectsOf(e.setup().book, ed) {
				pending[sub] = fmt.Sprintf("a commit of %s is pending (%s)", ed.Image, c.Cause.Kind)
			}
		}
	}
	return pending
}

// flying says why a target need not be written though the tree lacks it: it was
// committed and not fetched yet, or it waits on a branch.
func (e *Engine) flying(id, sub, target string, source uint64) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return "the automation is not in the configuration any more"
	}
	a := n.automation
	if l, ok := a.landed[sub]; ok {
		if source <= l.after {
			return fmt.Sprintf("%s was committed, and the source has not been asked since", l.target)
		}
		delete(a.landed, sub)
	}
	if p, ok := a.offered[sub]; ok && p.Target == target && p.Branch == a.cfg.Branch {
		return fmt.Sprintf("it waits on the branch %s, in %s, to be merged", p.Branch, short(p.Revision))
	}
	return ""
}

// wants reports whether another image is selected for a subject.
func (l *look) wants(sub string) bool { return l.wanted[sub] }

// String sums a look up for people.
func (l *look) String() string {
	counts := map[string]int{} // of those that may be a surprise, by reason
	for _, r := range l.results {
		if r.Status != update.Success && r.Reason != update.ReasonUpToDate {
			counts[cmp.Or(r.Reason, string(r.Status))]++
		}
	}
	text := fmt.Sprintf("%s looked after", many(len(l.results), "workload"))
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf(", %d %s", counts[reason], reason)
	}
	if len(l.changes) > 0 {
		text += fmt.Sprintf(", %s to be written", many(len(l.changes), "change"))
	}
	if len(l.held) > 0 {
		first := slices.Sorted(maps.Keys(l.held))[0]
		text += fmt.Sprintf(", %d held back, such as %s: %s", len(l.held), first, l.held[first])
	}
	for _, host := range slices.Sorted(maps.Keys(l.unasked)) {
		text += "; " + l.unasked[host]
	}
	return text
}

// many counts things in words.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
