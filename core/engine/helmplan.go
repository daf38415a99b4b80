package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// planOneRelease plans one release, whatever it depends on.
func (e *Engine) planOneRelease(ctx context.Context, id string) PlanResult {
	res := PlanResult{Node: id}
	job, err := e.releasePlanJob(id)
	if err == nil {
		e.progress(id, rollout.Progress{Step: rollout.StepPlan})
		plan, failed := e.planJobOfRelease(ctx, job)
		if err = failed; err == nil {
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

// planResources plans the custom resources among the objects of a sync that
// declare releases.
func (e *Engine) planResources(ctx context.Context, id string) []PlanResult {
	e.mu.Lock()
	n := e.nodes[id]
	loaded, applierID := n.sync.loaded, n.sync.cfg.Applier
	app, h := e.nodes[applierID], e.helmOf(applierID)
	e.mu.Unlock()
	if loaded == nil || h == nil || !h.helm.cfg.Resources {
		return nil
	}
	found, err := releaseResources(loaded.Items, cmp.Or(defaultNamespace(app.plugin), "default"))
	if err != nil {
		return []PlanResult{{Node: id, Error: words.OneLine(err)}}
	}
	if len(found) == 0 {
		return nil
	}
	ids := e.declareResources(h, found)
	if err := e.prepare(ctx, ids); err != nil {
		return []PlanResult{{Node: id, Error: words.OneLine(err)}}
	}
	results := make([]PlanResult, len(ids))
	for i, release := range ids {
		results[i] = e.planOneRelease(ctx, release)
	}
	return results
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
// returns their ids.
func (e *Engine) declareResources(h *node, list []applier.Resource) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &turnover{engine: e, following: newFollowing(h)}
	for _, r := range list {
		t.take(parse(r, t.following.Options))
	}
	ids := slices.Clone(t.run)
	e.placeCharts()
	e.relink()
	return ids
}

// releaseResources reads the custom resources that declare releases from a file
// of items.
func releaseResources(items, namespace string) ([]applier.Resource, error) {
	var list []applier.Resource
	for item, err := range (applier.Set{Objects: items}).Items() {
		if err != nil {
			return nil, err
		}
		r := applier.Resource{Ref: refOf(item.Object)}
		if !declaresRelease(r.Ref) {
			continue
		}
		if meta, ok := item.Object["metadata"].(map[string]any); ok && r.Ref.Namespace == "" {
			r.Ref.Namespace, meta["namespace"] = namespace, namespace
		}
		if r.Object, err = json.Marshal(item.Object); err != nil {
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
