package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// WhyImages tells of each container of a workload which tags may replace its
// image, and what holds them back. A workload that several syncs declare is
// there once for each.
func (e *Engine) WhyImages(ctx context.Context, req WhyImagesRequest) ([]WhyImage, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	id, err := qualify(req.Workload, req.Namespace)
	if err != nil {
		return nil, err
	}
	live, err := e.Workloads(ctx, WorkloadsRequest{Namespace: onlyNamespace(map[string]bool{id: true})})
	if err != nil {
		return nil, err
	}
	syncs, err := e.resolveNames(nil, filedNodes)
	if err != nil {
		return nil, err
	}
	asking, cancel := bounded(ctx, cmp.Or(req.Timeout, registryTimeout))
	defer cancel()
	list := []WhyImage{}
	var problems []string
	for _, sync := range syncs {
		found, err := e.whyInSync(ctx, asking, sync, id, live.Workloads)
		if err != nil {
			problems = append(problems, sync+": "+oneLine(err))
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		for _, w := range live.Workloads {
			if w.ID == id {
				list = append(list, e.whyUndeclared(ctx, asking, w)...)
			}
		}
	}
	if len(list) == 0 {
		return nil, refuse(ErrNotFound, "there is no workload %s%s", id, missingBecause(slices.Concat(problems, live.Problems)))
	}
	if req.Container != "" {
		list = slices.DeleteFunc(list, func(w WhyImage) bool { return w.Container != req.Container })
		if len(list) == 0 {
			return nil, refuse(ErrNotFound, "%s has no container %q", id, req.Container)
		}
	}
	return list, ctx.Err()
}

// whyInSync explains a workload that a sync declares; there is nothing if it
// does not. Registries are asked for what is not known while asking lasts.
func (e *Engine) whyInSync(ctx, asking context.Context, sync, id string, live []Workload) ([]WhyImage, error) {
	s, err := e.estate(ctx, sync, e.ofApplier(sync, live))
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
	w := e.updatable(ctx, s)[0]
	e.askRegistries(asking, s.targets, 0, nil) // what went wrong is in the views
	pending := e.pendingSubjects(sync)
	var list []WhyImage
	for k, c := range w.Containers {
		why := WhyImage{
			Workload: id, Container: c.Name, Image: declared.Containers[k].Image, Running: s.running[id].imageOf(c.Name),
			Applier: s.sync.Applier, Sync: sync, File: cmp.Or(declared.Containers[k].File, declared.File), Line: declared.Containers[k].Line,
			Automated: c.Automated,
		}
		if c.Invalid != "" {
			why.Selection.Error = c.Invalid
		} else {
			e.explainImage(ctx, &why, c, s.targets)
			why.Blocked = cmp.Or(pending[subject(id, c.Name)], unmoved(e.heldBack(sync, w, c.Name), notAutomated(w, c)))
		}
		list = append(list, why)
	}
	return list, nil
}

// explainImage fills in what the rules make of what is known.
func (e *Engine) explainImage(ctx context.Context, why *WhyImage, c update.Container, targets []images.Target) {
	why.Policy, why.Source = c.Rules.String(), c.Rules.Source
	why.Selection = c.Rules.Select(c.Input())
	if t := c.Rules.Target(c.Current, why.Selection); t != c.Current && !why.Selection.NeedsDigest {
		why.Target = t.String()
	}
	for _, t := range targets {
		if t.Container != c.Name {
			continue
		}
		if view, err := e.imaging.scanner.Known(ctx, t); err == nil {
			why.View = &view
		}
	}
}

// heldBack says why automation does not write what was selected, if there is an
// automation for the sync.
func (e *Engine) heldBack(sync string, w update.Workload, container string) string {
	sub := subject(w.ID, container)
	e.mu.Lock()
	defer e.mu.Unlock()
	automations := 0
	for id, n := range e.nodes {
		if n.automation == nil || n.automation.cfg.Target != sync {
			continue
		}
		automations++
		a := n.automation
		if s := n.suspended(); s != nil {
			return id + " is " + s.String()
		}
		if reason := cmp.Or(a.trouble[sub], a.held[sub]); reason != "" {
			return reason
		}
		if n.view.State == Failed || n.view.State == Blocked {
			return id + " is " + string(n.view.State) + ": " + n.view.Reason
		}
	}
	if automations == 0 {
		return "no image_automation is declared for " + sync
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
func (e *Engine) whyUndeclared(ctx, asking context.Context, w Workload) []WhyImage {
	var list []WhyImage
	for _, c := range w.Containers {
		why := WhyImage{
			Workload: w.ID, Container: c.Name, Running: c.Image, Applier: w.Applier, Blocked: update.ReasonNotInRepo,
		}
		image, err := ref.Parse(c.Image)
		if err != nil {
			why.Selection.Error = oneLine(err)
			list = append(list, why)
			continue
		}
		u := update.Container{Name: c.Name, Current: image}
		u.Rules, u.Automated = e.setup().book.of(about{workload: w.ID, container: c.Name, image: image}, w.policy)
		t := images.Target{Workload: w.ID, Container: c.Name, Image: image, Consumer: w.consumer(), Rules: &u.Rules}
		u.Input = func() policy.Input { return e.input(ctx, "", t) }
		why.Automated = u.Automated
		e.askRegistries(asking, []images.Target{t}, 0, nil)
		e.explainImage(ctx, &why, u, []images.Target{t})
		list = append(list, why)
	}
	return list
}

// imageOf is the image of a container, "" if there is no such.
func (w Workload) imageOf(container string) string {
	for _, c := range w.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}
