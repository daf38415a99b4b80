package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// rendering is the instance that renders for a sync, what identifies it, and how
// long it may take.
type rendering struct {
	renderer renderer.Renderer
	identity string
	timeout  time.Duration
}

// errNotOpen says that an instance may be there soon.
var errNotOpen = errors.New("is not open")

// rendererOf returns the renderer of a sync. It is open, or else it is an error
// that may pass.
func (e *Engine) rendererOf(cfg config.Sync) (rendering, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[cfg.Renderer]
	if n == nil {
		return rendering{}, refuse(ErrNotFound, "%s is not in the configuration any more", cfg.Renderer)
	}
	if n.handle == nil {
		return rendering{}, fmt.Errorf("%s %w (%s)", n.id, errNotOpen, n.view.Reason)
	}
	return rendering{n.handle.Renderer(), e.renderingKey(n), n.timeout}, nil
}

// renderingKey identifies what a renderer makes of the same files. The plugin
// host is another if the plugins are. e.mu is held.
func (e *Engine) renderingKey(n *node) string {
	return fmt.Sprintf("%p %s", e.running.host, pluginKey(*n.plugin))
}

// render returns what a sync's files in the tree at root render to, within the
// time that the renderer's block gives it. The caller owes it a release.
func (e *Engine) render(ctx context.Context, cfg config.Sync, root, digest, namespace string) (res render.Rendered, release func(), err error) {
	r, err := e.rendererOf(cfg)
	if err != nil {
		return res, nil, err
	}
	key := render.Key{Tree: digest, Renderer: r.identity, Paths: cfg.Paths, Namespace: namespace}
	ctx, cancel := bounded(ctx, r.timeout)
	defer cancel()
	res, release, err = e.renders.Render(ctx, key, r.renderer, root)
	if err != nil && ctx.Err() != nil { // whatever the plugin calls that
		err = fmt.Errorf("render: %w", context.Cause(ctx))
	}
	if err != nil {
		return res, nil, fmt.Errorf("%s: %w", cfg.Renderer, err)
	}
	return res, release, nil
}

// loadRendered is rollout.Load of what a sync's files render to.
func (e *Engine) loadRendered(ctx context.Context, job *syncJob) (*rollout.Loaded, error) {
	res, release, err := e.render(ctx, job.cfg, job.root, job.req.Tree, job.namespace)
	if err != nil {
		return nil, err
	}
	defer release()
	return rollout.LoadRendered(ctx, res, e.workDirOf(job.id), manifest.Options{Cache: e.manifests})
}

// editRendered edits the files from which a sync's manifests are rendered. All of
// it may take as long as one rendering; what is not done then waits for twice as
// long, so that it does not keep the other syncs of its source waiting.
func (e *Engine) editRendered(ctx context.Context, cfg config.Sync, t writeback.Tree, o edit.Options, edits []edit.Edit) ([]edit.FileChange, []error) {
	r, err := e.rendererOf(cfg)
	if err != nil {
		return nil, same(err, len(edits))
	}
	work, err := os.MkdirTemp(e.workDir(), "edit-")
	if err != nil {
		return nil, same(sdk.RetryAfter(err, r.timeout), len(edits)) // a disk, which may be full
	}
	editing, cancel := bounded(ctx, r.timeout)
	defer cancel()
	changes, errs := render.Apply(editing, r.renderer, t.Dir, cfg.Paths, o, filepath.Join(work, "tree"), edits)
	for i, err := range errs {
		if err != nil && editing.Err() != nil && errors.Is(err, context.Cause(editing)) {
			errs[i] = sdk.RetryAfter(fmt.Errorf("%s: edit what %s renders: %w", cfg.Address, cfg.Renderer, err), 2*r.timeout)
		}
	}
	if err := os.RemoveAll(work); err != nil {
		e.log.WarnContext(ctx, "cannot remove what was rendered to be edited", "dir", work, "err", err)
	}
	return changes, errs
}

// same is err n times.
func same(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
