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
	client *client.Renderer
	scrub  *Scrubber
}

var _ renderer.Renderer = (*Renderer)(nil)

// Render implements renderer.Renderer.
func (r *Renderer) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	res, err := r.client.Render(ctx, req)
	res.Diagnostics = r.scrub.Diags(res.Diagnostics)
	return res, err
}

// Updater is a Renderer that can turn changes into edits.
type Updater struct{ *Renderer }

var _ renderer.Updater = (*Updater)(nil)

// Update implements renderer.Updater.
func (u *Updater) Update(ctx context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	res, err := u.client.Update(ctx, req)
	res.Errors = slices.Clone(res.Errors)
	for i, msg := range res.Errors {
		res.Errors[i] = u.scrub.Scrub(msg)
	}
	return res, err
}
