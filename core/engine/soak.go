package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// soaked returns which of the selected images have been selected for long
// enough, and notes of the others why they wait.
func (e *Engine) soaked(id string, cfg config.ImageAutomation, l *look) (map[string]bool, error) {
	var subjects []string
	var candidates []gate.Candidate
	settled := map[string]bool{}
	for _, r := range l.results {
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
			candidates = append(candidates, gate.Candidate{Subject: soakKey(id, sub), Target: sw.Target})
		}
	}
	at := now()
	since, err := e.updating.gate.Since(candidates, at)
	if err != nil {
		return nil, err
	}
	for i, sub := range subjects {
		until := since[i].Add(cfg.Soak)
		if settled[sub] = !at.Before(until); settled[sub] {
			continue
		}
		l.held[sub] = fmt.Sprintf("%s soaks until %s", candidates[i].Target, until.Format(time.RFC3339))
		if l.next.IsZero() || until.Before(l.next) {
			l.next = until
		}
	}
	return settled, nil
}

// forgetSoaked forgets what soaks of workloads that nothing is selected for.
func (e *Engine) forgetSoaked(id string, l *look) error {
	return e.updating.gate.Tidy(now(), func(key string) bool {
		sub, own := strings.CutPrefix(key, id+" ")
		return own && !l.wants(sub)
	})
}

func soakKey(automation, sub string) string { return automation + " " + sub }

// learnDigests asks for the digests that are about to be written and are not
// known. It reports whether it has asked for any.
func (e *Engine) learnDigests(ctx context.Context, s *estate, all []update.Workload) bool {
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
			if _, err := e.imaging.scanner.Lookup(ctx, t); err != nil && !closing(ctx) {
				e.log.WarnContext(ctx, "cannot read the digest of an image that is to be written", "image", t.Image.String(), "err", err)
			}
		}
	}
	return asked
}

// subjectsOf are the subjects that an edit is of.
func subjectsOf(book rulebook, ed edit.Edit) []string {
	switch {
	case ed.Image == "":
		return nil
	case ed.Kustomize != "":
		return []string{subject(entryID(ed.File, ed.Kustomize, ed.Nth), "")}
	case ed.Marker != "":
		if r, ok := book.called(ed.Marker); ok {
			return []string{subject(markerPrefix+r.Name, "")}
		}
		return nil
	}
	return []string{subject(ed.Workload, ed.Container)}
}

// tellResults publishes what could not be told of workloads, once for as long
// as it stays the same. e.mu is held.
func (e *Engine) tellResults(n *node, results []update.Result) {
	told := n.automation.told
	n.automation.told = map[string]string{}
	for _, r := range results {
		if r.Status != update.Failed && r.Status != update.Unknown {
			continue
		}
		text := strings.TrimSuffix(r.ID+": "+r.Reason+": "+r.Detail, ": ")
		n.automation.told[r.ID] = text
		if told[r.ID] != text {
			e.bus.Publish(event.Event{Node: n.id, Object: r.ID, Reason: eventNotDecided, Severity: event.Warning, Message: text})
		}
	}
}
