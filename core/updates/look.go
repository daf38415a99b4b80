package updates

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
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// Look is what one look of an automation has come to.
type Look struct {
	Results  []update.Result   // what was decided, by workload
	Next     time.Time         // when something is due that nobody will tell of; zero: never
	Problems []rollout.Problem // of files and markers, which are left out

	held    map[string]string // by subject
	wanted  map[string]bool   // subjects for which another image is selected
	changes []writeback.Change
	unasked map[string]string // by registry, that it cannot be asked and why
	source  uint64            // the run of the source that the tree is of
}

// Look looks once whether images of the sync of an automation are to be
// replaced, and submits what is to be written. running is what runs where the
// sync applies to. It reads what is known already, and asks a registry only for
// a digest that is about to be written. The caller shows the result, and has it
// remembered by Looked.
func (u *Updater) Look(ctx context.Context, cfg config.ImageAutomation, running []workload.Workload) (*Look, error) {
	resolved := u.resolvedRun(cfg.Target)
	s, err := u.estate(ctx, cfg.Target, running)
	if err != nil {
		return nil, err
	}
	defer s.release()
	all := u.updatableAndLoose(ctx, s)
	l := &Look{held: map[string]string{}, wanted: map[string]bool{}, source: resolved, Problems: rollout.Problems(slices.Concat(s.found.Problems, s.deciders.Problems))}
	l.Results, l.Next = update.Automate(all, now())
	if u.learnDigests(ctx, s, all) {
		l.Results, l.Next = update.Automate(u.updatableAndLoose(ctx, s), now())
	}
	if err := u.choose(ctx, cfg, s, l); err != nil {
		return nil, err
	}
	l.unasked = u.unasked(s.targets)
	if err := u.queue.Submit(l.changes...); err != nil {
		return nil, err
	}
	return l, nil
}

// resolvedRun is the last run of a sync's source that has seen which revision
// is the newest.
func (u *Updater) resolvedRun(sync string) uint64 {
	f, _ := u.site.Files(sync)
	src, _ := u.site.Newest(f.Sync.Source)
	return src.Resolved
}

// choose makes changes of the results, but for what is held back.
func (u *Updater) choose(ctx context.Context, cfg config.ImageAutomation, s *estate, l *Look) error {
	pending := u.pendingSubjects(cfg.Target)
	settled, err := u.soaked(cfg, l)
	if err != nil {
		return err
	}
	for _, r := range l.Results {
		var swaps []update.Swap
		for _, sw := range r.Containers {
			sub := subject(r.ID, sw.Container)
			l.wanted[sub] = true
			reason := cmp.Or(pending[sub], u.flying(cfg, sub, sw.Target, l.source))
			switch {
			case reason != "":
				l.held[sub] = reason
			case settled[sub] && !u.brake(ctx, cfg, sub, sw, l):
				swaps = append(swaps, sw)
			}
		}
		if len(swaps) > 0 {
			l.changes = append(l.changes, s.change(cfg, r.ID, swaps))
		}
	}
	return u.forgetSoaked(cfg.Address, l)
}

// change is what an automation writes for a workload. On a branch there may be
// other images by earlier changes, which is as well.
func (s *estate) change(cfg config.ImageAutomation, workload string, swaps []update.Swap) writeback.Change {
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
		Cause: writeback.Cause{Kind: writeback.Automation, Job: cfg.Address}, Message: cfg.Message, Subject: subject, At: now(),
	}
}

// pendingSubjects are the containers that the queue has a change for, by
// whomever.
func (u *Updater) pendingSubjects(sync string) map[string]string {
	pending := map[string]string{}
	for _, c := range u.queue.Pending(sync) {
		for _, ed := range c.Edits {
			for _, sub := range subjectsOf(u.Setup().Book, ed) {
				pending[sub] = fmt.Sprintf("a commit of %s is pending (%s)", ed.Image, c.Cause.Kind)
			}
		}
	}
	return pending
}

// wants reports whether another image is selected for a subject.
func (l *Look) wants(sub string) bool { return l.wanted[sub] }

// String sums a look up for people.
func (l *Look) String() string {
	counts := map[string]int{} // of those that may be a surprise, by reason
	for _, r := range l.Results {
		if r.Status != update.Success && r.Reason != update.ReasonUpToDate {
			counts[cmp.Or(r.Reason, string(r.Status))]++
		}
	}
	text := fmt.Sprintf("%s looked after", words.Count(len(l.Results), "workload"))
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf(", %d %s", counts[reason], reason)
	}
	if len(l.changes) > 0 {
		text += fmt.Sprintf(", %s to be written", words.Count(len(l.changes), "change"))
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
