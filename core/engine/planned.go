package engine

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/core/engine/foreseen"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// planning is one call of Plan: what the releases of it find in the target once
// its syncs have been applied.
type planning struct {
	engine *Engine
	syncs  []plannedSync
	live   map[string]map[string]parsed // custom resources by applier and id, once somebody has asked
}

// plannedSync is a sync whose plan is known.
type plannedSync struct {
	id, applier string
	// objects are those that releases may read. The file of the sync's objects is
	// read when somebody asks.
	objects func() (*foreseen.Objects, error)
}

// planSyncs plans the syncs among ids.
func (p *planning) planSyncs(ctx context.Context, ids []string) map[string]PlanResult {
	results := map[string]PlanResult{}
	for _, id := range ids {
		if p.engine.isRelease(id) {
			continue
		}
		res := p.engine.planOne(ctx, id)
		results[id] = res
		if res.Plan != nil {
			p.applies(id, res.Plan)
		}
	}
	return results
}

// applies takes note of what a sync is about to apply.
func (p *planning) applies(id string, plan *rollout.Plan) {
	p.engine.mu.Lock()
	n := p.engine.nodes[id]
	loaded := n.sync.loaded
	p.engine.mu.Unlock()
	if loaded == nil {
		return
	}
	p.syncs = append(p.syncs, plannedSync{id, n.sync.cfg.Applier, sync.OnceValues(func() (*foreseen.Objects, error) {
		return foreseen.Read(loaded.Items, plan)
	})})
}

// before are the syncs of the same applier that are applied before a release
// reads what its values come from: all that it depends on. A resource comes from
// a sync itself, and what it reads may come from any.
func (p *planning) before(id string, d declare.Declaration) []plannedSync {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	needs := p.engine.graph.AllDependencies(id)
	var list []plannedSync
	for _, s := range p.syncs {
		if s.applier == d.Applier && (d.Resource != nil || slices.Contains(needs, s.id)) {
			list = append(list, s)
		}
	}
	return list
}

// foreseeing is a host for which the syncs have been applied.
func foreseeing(h release.Host, syncs []plannedSync) release.Host {
	if len(syncs) == 0 {
		return h
	}
	readConfig, readSecret := h.Config, h.Secret
	h.Config = func(ctx context.Context, namespace, name, key string) (string, error) {
		value, err := firstKnown(syncs, func(o *foreseen.Objects) (string, error) { return o.Config(namespace, name, key) })
		if errors.Is(err, foreseen.ErrUnknown) {
			return readConfig(ctx, namespace, name, key)
		}
		return value, err
	}
	h.Secret = func(ctx context.Context, namespace, name, key string) (secret.Secret, error) {
		value, err := firstKnown(syncs, func(o *foreseen.Objects) (secret.Secret, error) { return o.Secret(namespace, name, key) })
		if errors.Is(err, foreseen.ErrUnknown) {
			return readSecret(ctx, namespace, name, key)
		}
		return value, err
	}
	return h
}

// firstKnown asks the plans until one tells of an object that will be there: what
// one of them deletes another one may apply.
func firstKnown[T any](syncs []plannedSync, ask func(*foreseen.Objects) (T, error)) (value T, err error) {
	absent := foreseen.ErrUnknown
	for _, s := range syncs {
		objects, err := s.objects()
		if err == nil {
			value, err = ask(objects)
		}
		switch {
		case errors.Is(err, release.ErrNoValues):
			absent = err
		case !errors.Is(err, foreseen.ErrUnknown):
			return value, err
		}
	}
	return value, absent
}
