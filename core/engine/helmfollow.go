package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// following is what goes on with the custom resources of one applier's cluster.
// Engine.mu guards what is not constant.
type following struct {
	declare.Cluster
	key       string // what it was begun with
	uninstall bool   // also if the definition is what goes
	keeper    applier.ResourceKeeper
	follower  *resources.Follower
	writer    *resources.Writer

	sight resources.Sight
}

// followResources begins to follow the custom resources of the clusters whose appliers
// are open, where a helm wants that, and ends what is not wanted so any more.
func (e *Engine) followResources() {
	if e.oneShot() {
		return
	}
	e.refollow.Lock()
	defer e.refollow.Unlock()
	e.mu.Lock()
	wanted := map[string]*following{}
	for _, h := range e.nodes {
		if f := e.followingFor(h); f != nil && e.alive {
			wanted[f.Applier] = f
		}
	}
	var stale []*following
	for id, f := range e.followed {
		if w := wanted[id]; w != nil && w.key == f.key && w.Options == f.Options {
			delete(wanted, id)
			continue
		}
		stale = append(stale, f)
		delete(e.followed, id)
	}
	e.mu.Unlock()
	for _, f := range stale {
		f.close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.alive { // Close ends what there is, and nothing begins behind its back
		return
	}
	for _, f := range wanted {
		f.begin(e)
	}
}

// followingFor is how the resources of a helm's cluster are followed, nil if they
// are not. e.mu is held.
func (e *Engine) followingFor(h *node) *following {
	if !h.isHelm() || !h.helm.cfg.Resources {
		return nil
	}
	a := e.nodes[h.helm.cfg.Applier]
	if a == nil || a.handle == nil || !a.handle.Has(applier.CanKeepResources) {
		return nil
	}
	keeper, ok := a.handle.Applier().(applier.ResourceKeeper)
	if !ok {
		return nil
	}
	f := newFollowing(h)
	f.keeper, f.key = keeper, fmt.Sprintf("%s %p %t %s", h.id, a.handle, f.uninstall, pluginKey(*h.plugin))
	return f
}

// newFollowing is what the custom resources of a helm's cluster mean.
func newFollowing(h *node) *following {
	cfg := h.helm.cfg
	return &following{
		Cluster: declare.Cluster{
			Applier: cfg.Applier, Helm: h.id, Name: nameOf(cfg.Applier),
			Options: resource.Options{
				CrossNamespace: cfg.CrossNamespace, LocalURLs: cfg.LocalURLs, DefaultRef: cfg.DefaultRef, Charts: resource.Charts{Source: cfg.Charts, Path: cfg.ChartsPath},
			},
		},
		uninstall: cfg.UninstallOnCRDDelete,
	}
}

// nameOf is what comes after the kind and the type in an address.
func nameOf(address string) string {
	parts := strings.SplitN(address, ".", 3)
	return parts[len(parts)-1]
}

// begin follows. e.mu is held.
func (f *following) begin(e *Engine) {
	f.writer = resources.NewWriter(f.keeper, e.log)
	f.follower = resources.Follow(resources.Options{
		Keeper: f.keeper, Filter: applier.ResourceFilter{Kinds: resource.Kinds()}, Logger: e.log.With("node", f.Applier),
		Handle: func(_ context.Context, b resources.Batch) { e.takeResources(f, b) },
	})
	e.followed[f.Applier] = f
}

func (f *following) close() {
	f.follower.Close()
	f.writer.Close()
}

// unfollow ends all following that uses one of the nodes.
func (e *Engine) unfollow(ids []string) {
	e.endFollowing(func(f *following) bool { return slices.Contains(ids, f.Applier) || slices.Contains(ids, f.Helm) })
}

// closeFollowing ends all following, at the end of the engine: none begins any
// more, and what was about to has, or never will.
func (e *Engine) closeFollowing(context.Context) error {
	e.endFollowing(func(*following) bool { return true })
	return nil
}

func (e *Engine) endFollowing(which func(*following) bool) {
	e.refollow.Lock()
	defer e.refollow.Unlock()
	e.mu.Lock()
	var stale []*following
	for id, f := range e.followed {
		if which(f) {
			stale = append(stale, f)
			delete(e.followed, id)
		}
	}
	e.mu.Unlock()
	for _, f := range stale {
		f.close()
	}
}

// cannotSee says which custom resources of an applier cannot be seen, and why.
// e.mu is held.
func (e *Engine) cannotSee(applier string) []rollout.Problem {
	f := e.followed[applier]
	if f == nil {
		return nil
	}
	var problems []rollout.Problem
	for _, text := range f.sight.Lacks() {
		problems = append(problems, rollout.Problem{Severity: "warning", Summary: text})
	}
	return problems
}
