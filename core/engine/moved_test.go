package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// TestSyncMovedToAnotherSource: what waits for the source that it was decided on
// is not written there with the paths of another one, and ends.
func TestSyncMovedToAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, shop, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
		f.repo.mu.Lock()
		f.repo.refuse = errors.New("the network is down")
		f.repo.mu.Unlock()
		job, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:deployment/web"}, Change: update.PolicyChange{Lock: true}})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Minute)
		other := f.world.repo("mem://other")
		other.writable, other.rev, other.files = true, 1, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:2.0.0")}
		f.configure(strings.ReplaceAll(shop, "source = source.memory.shop", "source = source.memory.other") + `
source "memory" "other" { url = "mem://other" }
`)
		reload(t, f.e, true)
		f.repo.mu.Lock()
		f.repo.refuse = nil
		f.repo.mu.Unlock()
		sleepFor(t, 10*time.Minute)
		done, err := f.e.Job(job.ID)
		if err != nil || !done.Ended() {
			t.Fatalf("%+v, %v", done, err)
		}
		if text := done.Error + done.Results[0].Reason + done.Results[0].Detail; !strings.Contains(text, "sync.shop reads source.memory.other now, and no longer source.memory.shop") {
			t.Errorf("%+v", done)
		}
		if n := len(f.repo.written()) + len(other.written()); n != 0 {
			t.Errorf("%d commits", n)
		}
	})
}
