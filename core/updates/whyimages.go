package updates

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
)

// WhyImagesRequest asks why the images of a workload are what they are.
type WhyImagesRequest struct {
	Workload  string `json:"workload"`
	Namespace string `json:"namespace,omitempty"` // of a workload that names none
	Container string `json:"container,omitempty"` // empty: all

	// Timeout bounds, in nanoseconds, how long registries are asked for what is
	// not known. 0: 2 minutes.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// WhyImage tells of one container which tags may replace its image, and what
// holds them back.
type WhyImage struct {
	Workload  string           `json:"workload"`
	Container string           `json:"container"`
	Image     string           `json:"image"`             // in git; empty: it is not there
	Running   string           `json:"running,omitempty"` // in the cluster; empty: it is not there
	Applier   string           `json:"applier,omitempty"`
	Sync      string           `json:"sync,omitempty"`
	File      string           `json:"file,omitempty"`
	Line      int              `json:"line,omitempty"`
	Policy    string           `json:"policy,omitempty"` // the pattern
	Source    string           `json:"source,omitempty"` // where the policy comes from
	Automated bool             `json:"automated"`
	Blocked   string           `json:"blocked,omitempty"` // why Target is not written just now
	Selection policy.Selection `json:"selection"`
	Target    string           `json:"target,omitempty"` // what would be written; empty: nothing
	View      *images.View     `json:"view,omitempty"`
}

// WhyImages tells of each container of a workload which tags may replace its
// image, and what holds them back. A workload that several syncs declare is
// there once for each.
func (u *Updater) WhyImages(ctx context.Context, req WhyImagesRequest) ([]WhyImage, error) {
	id, err := workload.Qualify(req.Workload, req.Namespace)
	if err != nil {
		return nil, err
	}
	live, err := u.site.Workloads(ctx, workload.Request{Namespace: workload.OnlyNamespace(map[string]bool{id: true})})
	if err != nil {
		return nil, err
	}
	asking, cancel := deadline.Within(ctx, cmp.Or(req.Timeout, registryTimeout))
	defer cancel()
	list := []WhyImage{}
	var problems []string
	for _, sync := range u.site.Syncs() {
		found, err := u.whyInSync(ctx, asking, sync, id, live.Workloads)
		if err != nil {
			problems = append(problems, sync+": "+words.OneLine(err))
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		for _, w := range live.Workloads {
			if w.ID == id {
				list = append(list, u.whyUndeclared(ctx, asking, w)...)
			}
		}
	}
	if len(list) == 0 {
		return nil, refusal.NotFound("there is no workload %s%s", id, workload.Missing(slices.Concat(problems, live.Problems)))
	}
	if req.Container != "" {
		list = slices.DeleteFunc(list, func(w WhyImage) bool { return w.Container != req.Container })
		if len(list) == 0 {
			return nil, refusal.NotFound("%s has no container %q", id, req.Container)
		}
	}
	return list, ctx.Err()
}

// whyInSync explains a workload that a sync declares; there is nothing if it
// does not. Registries are asked for what is not known while asking lasts.
func (u *Updater) whyInSync(ctx, asking context.Context, sync, id string, live []workload.Workload) ([]WhyImage, error) {
	s, err := u.estate(ctx, sync, u.ofApplier(sync, live))
	if err != nil {
		return nil, err
	}
	defer s.release()
	i := slices.IndexFunc(s.found.Workloads, func(w edit.Workload) bool { return w.ID == id })
	if i < 0 {
		return nil, nil
	}
	declared := s.found.Workloads[i]
	s.found.Workloads = []edit.Workload{declared}
	w := u.updatable(ctx, s)[0]
	u.askRegistries(asking, s.targets, 0, nil) // what went wrong is in the views
	pending := u.pendingSubjects(sync)
	var list []WhyImage
	for k, c := range w.Containers {
		why := WhyImage{
			Workload: id, Container: c.Name, Image: declared.Containers[k].Image, Running: s.running[id].ImageOf(c.Name),
			Applier: s.sync.Applier, Sync: sync, File: cmp.Or(declared.Containers[k].File, declared.File), Line: declared.Containers[k].Line,
			Automated: c.Automated,
		}
		if c.Invalid != "" {
			why.Selection.Error = c.Invalid
		} else {
			u.explainImage(ctx, &why, c, s.targets)
			why.Blocked = cmp.Or(pending[subject(id, c.Name)], unmoved(u.heldBack(sync, w, c.Name), notAutomated(w, c)))
		}
		list = append(list, why)
	}
	return list, nil
}

// explainImage fills in what the rules make of what is known.
func (u *Updater) explainImage(ctx context.Context, why *WhyImage, c update.Container, targets []images.Target) {
	why.Policy, why.Source = c.Rules.String(), c.Rules.Source
	why.Selection = c.Rules.Select(c.Input())
	if t := c.Rules.Target(c.Current, why.Selection); t != c.Current && !why.Selection.NeedsDigest {
		why.Target = t.String()
	}
	for _, t := range targets {
		if t.Container != c.Name {
			continue
		}
		if view, err := u.scanner.Known(ctx, t); err == nil {
			why.View = &view
		}
	}
}

// heldBack says why automation does not write what was selected, if there is an
// automation for the sync.
func (u *Updater) heldBack(sync string, w update.Workload, container string) string {
	sub := subject(w.ID, container)
	automations := u.site.Automations(sync)
	for _, a := range automations {
		if a.Suspended != "" {
			return a.Config.Address + " is " + a.Suspended
		}
		if reason := u.inTheWay(a.Config.Address, sub); reason != "" {
			return reason
		}
		if a.Stuck != "" {
			return a.Config.Address + " is " + a.Stuck
		}
	}
	if len(automations) == 0 {
		return "no image_automation is declared for " + sync
	}
	return ""
}

// inTheWay is what the last look, or the last try to write, has left undone of a
// subject, and why.
func (u *Updater) inTheWay(id, sub string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m := u.memory[id]; m != nil {
		return cmp.Or(m.trouble[sub], m.held[sub])
	}
	return ""
}

// notAutomated says what of the workload itself keeps automation away.
func notAutomated(w update.Workload, c update.Container) string {
	var reasons []string
	if w.Policy.Locked {
		reasons = append(reasons, w.Locked())
	}
	if w.Policy.Ignored || w.Ignored {
		reasons = append(reasons, "an annotation says that it is to be ignored")
	}
	if !w.InCluster {
		reasons = append(reasons, update.ReasonNotInCluster)
	}
	switch {
	case c.Fixed != "":
		reasons = append(reasons, c.Fixed)
	case c.Decider != "":
		reasons = append(reasons, c.Decider)
	case !c.Automated:
		reasons = append(reasons, "it is not automated")
	}
	return strings.Join(reasons, "; ")
}

// unmoved joins what an automation holds back with what of the workload does: a
// person wants to know all that is in the way.
func unmoved(held, own string) string {
	if held == "" || own == "" {
		return held + own
	}
	return own + "; " + held
}

// whyUndeclared explains a workload that no sync declares.
func (u *Updater) whyUndeclared(ctx, asking context.Context, w workload.Workload) []WhyImage {
	var list []WhyImage
	for _, c := range w.Containers {
		why := WhyImage{
			Workload: w.ID, Container: c.Name, Running: c.Image, Applier: w.Applier, Blocked: update.ReasonNotInRepo,
		}
		image, err := ref.Parse(c.Image)
		if err != nil {
			why.Selection.Error = words.OneLine(err)
			list = append(list, why)
			continue
		}
		own := update.Container{Name: c.Name, Current: image}
		own.Rules, own.Automated = u.Setup().Book.Of(rules.About{Workload: w.ID, Container: c.Name, Image: image}, w.Policy())
		t := images.Target{Workload: w.ID, Container: c.Name, Image: image, Consumer: w.Consumer(), Rules: &own.Rules}
		own.Input = func() policy.Input { return u.input(ctx, "", t) }
		why.Automated = own.Automated
		u.askRegistries(asking, []images.Target{t}, 0, nil)
		u.explainImage(ctx, &why, own, []images.Target{t})
		list = append(list, why)
	}
	return list
}
