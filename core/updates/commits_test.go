package updates

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/sdk"
)

// TestPassingTrouble: what a plugin that is away keeps from being edited is tried
// again; what is wrong is not.
func TestPassingTrouble(t *testing.T) {
	for err, want := range map[error]bool{
		render.ErrNotOpen: true, &pluginhost.ExitedError{Plugin: "kustomize", Call: "renderer.Render"}: true,
		errors.New("the network is down"): false, sdk.Permanent(render.ErrNotOpen): false,
	} {
		if _, got := sdk.RetryDelay(passingTrouble(fmt.Errorf("renderer: %w", err))); got != want {
			t.Errorf("%v passes: %v", err, got)
		}
	}
}
