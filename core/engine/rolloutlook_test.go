package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// stateOf is a sum of what the daemon has on disk.
func stateOf(t *testing.T, f *fleet) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(f.dir, "data", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// TestRolloutsOfMany: however many rollouts are followed, the cluster is asked
// once in a look, also where it does not answer, and nothing is written while
// nothing changes.
func TestRolloutsOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 50
		files := map[string]string{}
		for i := range many {
			files[fmt.Sprintf("w%02d.yaml", i)] = declared("shop", fmt.Sprintf("w%02d", i), "registry.invalid/web:1.0.0", yes...)
		}
		f := newFleet(t, shop+"image_automation \"shop\" {\n sync = sync.shop\n health { timeout = \"1h\" }\n}\n", files)
		f.registry("web", "1.0.0", "1.1.0")
		f.rolledOut(func(w *applier.Workload) { w.Rollout = applier.Rollout{Phase: applier.RolloutUpdating, Desired: 1} })
		sleepFor(t, 90*time.Second) // how long they are watched is written each minute
		if got := f.e.UpdateMetrics().Rollouts; got != many {
			t.Fatalf("%d rollouts are followed", got)
		}
		looks := func() int { return f.target(kube).Calls("Workloads") }
		before, written := looks(), stateOf(t, f)
		f.e.lookAtRollouts(t.Context())
		if n := looks() - before; n != 1 {
			t.Errorf("the cluster was asked %d times", n)
		}
		if stateOf(t, f) != written {
			t.Error("something was written though nothing has changed")
		}

		f.target(kube).Down(errors.New("no answer"))
		before = looks()
		f.e.lookAtRollouts(t.Context())
		if n := looks() - before; n != 1 {
			t.Errorf("a cluster that does not answer was asked %d times", n)
		}
		f.target(kube).Down(nil)
		f.rolledOut(nil)
		f.e.lookAtRollouts(t.Context())
		if left := f.e.UpdateMetrics().Rollouts; left != 0 {
			t.Errorf("%d are followed still", left)
		}
	})
}
