package updates

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/updates/rules"
)

// soaked returns which of the selected images have been selected for long
// enough, and notes of the others why they wait.
func (u *Updater) soaked(cfg config.ImageAutomation, l *Look) (map[string]bool, error) {
	var subjects []string
	var candidates []gate.Candidate
	settled := map[string]bool{}
	for _, r := range l.Results {
		if r.Status != update.Success {
			continue
		}
		for _, sw := range r.Containers {
			sub := subject(r.ID, sw.Container)
			if cfg.Soak <= 0 {
				settled[sub] = true
				continue
			}
			subjects = append(subjects, sub)
			candidates = append(candidates, gate.Candidate{Subject: soakKey(cfg.Address, sub), Target: sw.Target})
		}
	}
	at := now()
	since, err := u.gate.Since(candidates, at)
	if err != nil {
		return nil, err
	}
	for i, sub := range subjects {
		until := since[i].Add(cfg.Soak)
		if settled[sub] = !at.Before(until); settled[sub] {
			continue
		}
		l.held[sub] = fmt.Sprintf("%s soaks until %s", candidates[i].Target, until.Format(time.RFC3339))
		if l.Next.IsZero() || until.Before(l.Next) {
			l.Next = until
		}
	}
	return settled, nil
}

// forgetSoaked forgets what soaks of workloads that nothing is selected for.
func (u *Updater) forgetSoaked(id string, l *Look) error {
	return u.gate.Tidy(now(), func(key string) bool {
		sub, own := strings.CutPrefix(key, id+" ")
		return own && !l.wants(sub)
	})
}

func soakKey(automation, sub string) string { return automation + " " + sub }

// learnDigests asks for the digests that are about to be written and are not
// known. It reports whether it has asked for any.
func (u *Updater) learnDigests(ctx context.Context, s *estate, all []update.Workload) bool {
	targets := map[string]images.Target{}
	for _, t := range s.targets {
		targets[subject(t.Workload, t.Container)] = t
	}
	asked := false
	for _, w := range all {
		for _, c := range w.Containers {
			t, known := targets[subject(w.ID, c.Name)]
			if !known || closing(ctx) || !c.Automated || c.Decider != "" || !w.InCluster || w.Policy.Locked || !c.Rules.NeedsDigest(c.Current) {
				continue
			}
			sel := c.Rules.Select(c.Input())
			if sel.Selected == "" || !sel.NeedsDigest {
				continue
			}
			asked = true
			t.Image, t.Rules = t.Image.WithTag(sel.Selected), nil
			t.Image.Digest = ""
			if _, err := u.scanner.Lookup(ctx, t); err != nil && !closing(ctx) {
				u.log.WarnContext(ctx, "cannot read the digest of an image that is to be written", "image", t.Image.String(), "err", err)
			}
		}
	}
	return asked
}

// subject names a container of a workload.
func subject(workload, container string) string { return workload + " " + container }

// subjectsOf are the subjects that an edit is of.
func subjectsOf(book rules.Book, ed edit.Edit) []string {
	switch {
	case ed.Image == "":
		return nil
	case ed.Kustomize != "":
		return []string{subject(entryID(ed.File, ed.Kustomize, ed.Nth), "")}
	case ed.Marker != "":
		if r, ok := book.Called(ed.Marker); ok {
			return []string{subject(markerPrefix+r.Name, "")}
		}
		return nil
	}
	return []string{subject(ed.Workload, ed.Container)}
}
