package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func (e *Engine) isRelease(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	return n != nil && n.release != nil
}

// release plans one release, whatever it depends on.
func (p *planning) release(ctx context.Context, id string) PlanResult {
	e, res := p.engine, PlanResult{Node: id}
	job, err := e.releasePlanJob(id)
	if err == nil {
		e.progress(id, rollout.Progress{Step: rollout.StepPlan})
		job.host = foreseeing(job.host, p.before(id, job.declared))
		var plan release.Plan
		if err = p.recall(ctx, job); err == nil {
			plan, err = e.planJobOfRelease(ctx, job)
		}
		if err == nil {
			res.Release, res.Problems = &plan, problemsOf(releaseError(plan.Err))
		}
	}
	if err != nil {
		res.Error, res.Problems = words.OneLine(err), problemsOf(err)
	}
	return res
}

// releasePlanJob returns the input of a plan.
func (e *Engine) releasePlanJob(id string) (*releaseJob, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if err := e.unprepared(n); err != nil {
		return nil, err
	}
	h := e.nodes[n.release.declared.Helm]
	if h == nil || h.handle == nil {
		return nil, fmt.Errorf("there is no helm for %s", n.release.declared.Applier)
	}
	return &releaseJob{id: id, declared: n.release.declared, record: n.release.record, host: e.releaseHost(n, h)}, nil
}

// resources plans the custom resources among the objects of a sync that declare
// releases.
func (p *planning) resources(ctx context.Context, id string) []PlanResult {
	e := p.engine
	e.mu.Lock()
	n := e.nodes[id]
	cfg, loaded := n.sync.cfg, n.sync.loaded
	app, h := e.nodes[cfg.Applier], e.helmOf(cfg.Applier)
	e.mu.Unlock()
	if loaded == nil || h == nil || !h.helm.cfg.Resources {
		return nil
	}
	failed := func(err error) []PlanResult { return []PlanResult{{Node: id, Error: words.OneLine(err)}} }
	found, err := releaseResources(loaded.Items, cmp.Or(defaultNamespace(app.plugin), "default"))
	switch {
	case err != nil:
		return failed(err)
	case len(found) == 0:
		return nil
	}
	tree, err := e.treeOf(ctx, cfg.Source)
	if err != nil {
		return failed(err)
	}
	defer tree.Release()
	parseFiled(cfg, tree.Dir, found, newFollowing(h).Options)
	ids := e.declareResources(h, found)
	if err := e.prepare(ctx, ids); err != nil {
		return failed(err)
	}
	results := make([]PlanResult, len(ids))
	for i, release := range ids {
		results[i] = p.release(ctx, release)
		results[i].stands(found[i])
	}
	return results
}

// stands adds where the resource stands that declares the release, and what is
// odd about it.
func (res *PlanResult) stands(r filedResource) {
	res.File, res.Line = r.item.File, r.item.Line
	res.Problems = append(res.Problems, rollout.Problems(r.parsed.resource.Warnings)...)
	for i := range res.Problems {
		if p := &res.Problems[i]; p.File == "" {
			p.File, p.Line = res.File, res.Line
		}
	}
}

// helmOf is the helm of an applier, nil if there is none. e.mu is held.
func (e *Engine) helmOf(applier string) *node {
	for _, n := range e.nodes {
		if n.isHelm() && n.helm.cfg.Applier == applier {
			return n
		}
	}
	return nil
}

// declareResources makes nodes of resources as if the cluster had them, and
// returns their ids, in order.
func (e *Engine) declareResources(h *node, list []filedResource) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &turnover{engine: e, following: newFollowing(h)}
	ids := make([]string, len(list))
	for i, r := range list {
		t.take(r.parsed)
		ids[i] = r.parsed.resource.ID(t.following.Name)
	}
	e.placeCharts()
	e.relink()
	return ids
}

// releaseResources reads the custom resources that declare releases from a file
// of items. Those that their files tell to leave alone are not applied.
func releaseResources(items, namespace string) ([]filedResource, error) {
	var list []filedResource
	for item, err := range (applier.Set{Objects: items}).Items() {
		if err != nil {
			return nil, err
		}
		ref := refOf(item.Object)
		if !declaresRelease(ref) || item.Ignore != "" {
			continue
		}
		if meta, ok := item.Object["metadata"].(map[string]any); ok && ref.Namespace == "" {
			ref.Namespace, meta["namespace"] = namespace, namespace
		}
		r := filedResource{item: item}
		r.parsed.Ref = ref
		if r.parsed.Object, err = json.Marshal(item.Object); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// refOf names an object.
func refOf(object map[string]any) applier.Ref {
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	meta, _ := object["metadata"].(map[string]any)
	group, _, ok := strings.Cut(text(object, "apiVersion"), "/")
	if !ok {
		group = ""
	}
	return applier.Ref{Group: group, Kind: text(object, "kind"), Namespace: text(meta, "namespace"), Name: text(meta, "name")}
}

// declaresRelease reports whether objects of the kind declare releases.
func declaresRelease(ref applier.Ref) bool {
	return slices.ContainsFunc(resource.Kinds(), func(k applier.VersionedKind) bool { return k.Group == ref.Group && k.Kind == ref.Kind })
}
