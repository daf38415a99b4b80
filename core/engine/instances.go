package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/engine/charts"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
)

// openTimeout bounds the opening of an applier or a renderer, which have no
// timeout of their own in the configuration.
const openTimeout = time.Minute

// runInstance opens an applier or a renderer, and lets the syncs go that waited
// for it.
func (e *Engine) runInstance(ctx context.Context, id string) {
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil {
		e.mu.Unlock()
		return
	}
	n.begin()
	if n.handle == nil {
		n.set(Running, "opening", "")
		e.nodeChanged()
	}
	e.mu.Unlock()

	opening, cancel := deadline.Within(ctx, openTimeout)
	_, err := e.open(opening, id)
	cancel()
	if ctx.Err() != nil {
		e.abandon(id)
		return
	}

	e.endOpening(id, err)
	e.followResources()
}

// endOpening takes note of what came of opening an instance.
func (e *Engine) endOpening(id string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return
	}
	if err != nil {
		e.failed(n, located(*n.plugin, err), "")
		return
	}
	e.succeeded(n, Ready, "open", "")
	if n.away != nil {
		e.showAway(n)
	}
	e.tellDependents(id)
	if n.isApplier() {
		e.discoverLocked(id)
		return
	}
	if n.isHelm() {
		return
	}
	for _, sync := range e.graph.Dependents(id) {
		e.lookSoon(sync, sched.Webhook)
	}
}

// open returns the node's instance; it opens one if there is none. Only the
// node's own job calls it.
func (e *Engine) open(ctx context.Context, id string) (instance, error) {
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil {
		e.mu.Unlock()
		return nil, refusal.NotFound("%s is not in the configuration any more", id)
	}
	handle, cfg, host, json := n.handle, *n.plugin, e.running.host, n.plugin.JSON
	var own *charts.Source
	if n.source != nil && n.source.charts != nil {
		own = new(*n.source.charts)
	}
	e.mu.Unlock()
	if handle != nil {
		return handle, nil
	}
	if own != nil {
		var err error
		if json, err = e.chartsConfig(ctx, id, *own); err != nil {
			return nil, fmt.Errorf("open: %w", deadline.Because(ctx, err))
		}
	}
	handle, found, err := host.Open(ctx, cfg.Kind, cfg.Type, id, json)
	warnings := onlyWarnings(locate(cfg, found))
	for _, d := range warnings {
		e.log.WarnContext(ctx, d.Error(), "node", id)
	}
	if err != nil {
		return nil, fmt.Errorf("open: %w", deadline.Because(ctx, err))
	}
	e.mu.Lock()
	n = e.nodes[id]
	current := n != nil && n.plugin != nil && pluginKey(*n.plugin) == pluginKey(cfg) && e.running.host == host
	if current {
		n.handle, n.warnings = handle, rollout.Problems(warnings)
		if n.isHelm() {
			n.helm.observer = nil
		}
	}
	e.mu.Unlock()
	if !current {
		return nil, errors.Join(errSuperseded, handle.Close(context.WithoutCancel(ctx)))
	}
	return handle, nil
}

// closeInstances closes what is open, at the end of the engine.
func (e *Engine) closeInstances(ctx context.Context) error {
	e.mu.Lock()
	open := e.orphans
	e.orphans = nil
	for _, n := range e.nodes {
		if n.handle != nil {
			open = append(open, n.handle)
			n.handle = nil
		}
	}
	e.mu.Unlock()
	return closeAll(ctx, open)
}

func closeAll(ctx context.Context, open []instance) error {
	errs := make([]error, len(open))
	var wg sync.WaitGroup
	for i, in := range open {
		wg.Go(func() { errs[i] = in.Close(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
