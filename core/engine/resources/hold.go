package resources

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Hold keeps r from going until Free. It is applier.ErrNoResource if r has gone.
func Hold(ctx context.Context, k applier.ResourceKeeper, r resource.Resource) error {
	if r.Finalized {
		return nil
	}
	_, err := k.PatchResource(ctx, applier.ResourcePatch{Ref: r.Ref, UID: r.UID, AddFinalizer: resource.Finalizer})
	if err != nil {
		return fmt.Errorf("hold the resource until the release is uninstalled: %w", err)
	}
	return nil
}

// Free lets r go. One that has gone is no error.
func Free(ctx context.Context, k applier.ResourceKeeper, r resource.Resource) error {
	_, err := k.PatchResource(ctx, applier.ResourcePatch{Ref: r.Ref, UID: r.UID, RemoveFinalizer: resource.Finalizer})
	if errors.Is(err, applier.ErrNoResource) {
		return nil
	}
	return err
}
