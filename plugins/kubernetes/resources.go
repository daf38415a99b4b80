package main

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Follow implements applier.ResourceKeeper.
func (t *target) Follow(ctx context.Context, filter applier.ResourceFilter, emit func(applier.Resource)) error {
	return t.keeper.Follow(ctx, filter, emit)
}

// PatchResource implements applier.ResourceKeeper.
func (t *target) PatchResource(ctx context.Context, patch applier.ResourcePatch) (applier.Resource, error) {
	return t.keeper.PatchResource(ctx, patch)
}

// TellResource implements applier.ResourceKeeper.
func (t *target) TellResource(ctx context.Context, event applier.ResourceEvent) error {
	return t.keeper.TellResource(ctx, event)
}

// ReadConfig implements applier.ResourceKeeper.
func (t *target) ReadConfig(ctx context.Context, ref applier.ConfigRef) (string, error) {
	return t.keeper.ReadConfig(ctx, ref)
}
