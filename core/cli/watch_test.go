package cli

import (
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestOvertaken: a rollout that ends with another image than was released is not
// the end that somebody watched for.
func TestOvertaken(t *testing.T) {
	released := map[string][]update.Swap{"shop:deployment/web": {
		{Container: "web", Target: "nginx:1.1"}, {Container: "gone", Target: "x:1"},
	}}
	running := func(image string) []workload.Workload {
		return []workload.Workload{{ID: "shop:deployment/web", Containers: []applier.Container{{Name: "web", Image: image}, {Name: "side", Image: "y:1"}}}}
	}
	for _, image := range []string{"nginx:1.1", "docker.io/library/nginx:1.1"} {
		if err := overtaken(running(image), released); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
	if err := overtaken(running("nginx:1.2"), released); err == nil || !strings.Contains(err.Error(), "nginx:1.2, which is not what was released: nginx:1.1") {
		t.Errorf("%v", err)
	}
}

func TestReplicas(t *testing.T) {
	for want, r := range map[string]applier.Rollout{
		"-":                {Phase: applier.RolloutReady},
		"2/3":              {Phase: applier.RolloutUpdating, Desired: 3, Updated: 2},
		"0/0 (1 outdated)": {Phase: applier.RolloutUpdating, Outdated: 1},
		"1/3 (2 outdated)": {Phase: applier.RolloutUpdating, Desired: 3, Updated: 1, Outdated: 2},
	} {
		if got := replicas(r); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}
