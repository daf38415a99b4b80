package pluginhost

import (
	"context"
	"slices"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Renderer is a renderer whose words about what it rendered are free of known
// secrets. What it rendered is not: it goes to the target.
type Renderer struct {
	*client.Renderer
	scrub *Scrubber
}

var _ interface {
	renderer.Renderer
	renderer.Updater
} = (*Renderer)(nil)

// Render implements renderer.Renderer.
func (r *Renderer) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	res, err := r.Renderer.Render(ctx, req)
	res.Diagnostics = r.scrub.Diags(res.Diagnostics)
	return res, err
}

// Update implements renderer.Updater.
func (r *Renderer) Update(ctx context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	res, err := r.Renderer.Update(ctx, req)
	res.Errors = slices.Clone(res.Errors)
	for i, msg := range res.Errors {
		res.Errors[i] = r.scrub.Scrub(msg)
	}
	return res, err
}
