package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/rollout"
)

// renderer returns the renderer with the address.
func (e *Engine) renderer(address string) (render.Instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[address]
	if n == nil {
		return render.Instance{}, refusal.NotFound("%s is not in the configuration any more", address)
	}
	if n.handle == nil {
		return render.Instance{}, fmt.Errorf("%s %w (%s)", n.id, render.ErrNotOpen, n.view.Reason)
	}
	return render.Instance{Address: n.id, Renderer: n.handle.Renderer(), Identity: e.renderingKey(n), Timeout: n.timeout}, nil
}

// renderingKey identifies what a renderer makes of the same files. The plugin
// host is another if the plugins are. e.mu is held.
func (e *Engine) renderingKey(n *node) string {
	return fmt.Sprintf("%p %s", e.running.host, pluginKey(*n.plugin))
}

// loadRendered is rollout.Load of what a sync's files render to.
func (e *Engine) loadRendered(ctx context.Context, job *syncJob) (*rollout.Loaded, error) {
	r, err := e.renderer(job.cfg.Renderer)
	if err != nil {
		return nil, err
	}
	res, release, err := r.Render(ctx, e.renders, job.root, job.req.Tree, job.cfg.Paths, job.namespace)
	if err != nil {
		return nil, err
	}
	defer release()
	return rollout.LoadRendered(ctx, res, e.workDirOf(job.id), manifest.Options{Cache: e.manifests})
}

// defaultNamespace is where an applier puts objects that name no namespace, as
// far as its configuration says.
func defaultNamespace(p *config.PluginConfig) string {
	var c struct {
		DefaultNamespace string `json:"default_namespace"`
	}
	if p != nil {
		_ = json.Unmarshal(p.JSON, &c) // whatever is there, the plugin judges it
	}
	return c.DefaultNamespace
}
