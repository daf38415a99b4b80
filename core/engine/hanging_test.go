package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// TestRendererThatHangs: it costs its own sync its updates, and nobody else.
func TestRendererThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := shop + `
source "memory" "evil" { url = "mem://evil" }
renderer "memory" "apps" { timeout = "2m" }
sync "evil" {
  source   = source.memory.evil
  renderer = renderer.memory.apps
}
`
		w := newWorld(t)
		evil := w.repo("mem://evil")
		evil.rev, evil.files = 1, map[string]string{"hangs": "", "evil.app": "registry.invalid/evil:1"}
		shop := w.repo("mem://shop")
		shop.writable, shop.rev = true, 1
		shop.files = map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")}
		w.runs = true
		f := &fleet{world: w, repo: shop}
		f.rolledOut(nil)
		f.e = w.start(hcl)
		sleepFor(t, 2*time.Minute)
		expect(t, f.e, "sync.evil", Failed, "renderer.memory.apps: render: timeout of 2m0s has passed")

		begun := time.Now()
		job, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:deployment/web"}, Change: update.PolicyChange{Lock: true}})
		if err != nil {
			t.Fatal(err)
		}
		done, err := f.e.WaitJob(t.Context(), job.ID, false)
		if took := time.Since(begun); err != nil || done.State != jobs.Succeeded || len(done.Commits) != 1 || done.Error != "" || took > time.Second {
			t.Errorf("after %s: %+v, %v", took, done, err)
		}

		f.registry("web", "1.0.0", "1.1.0")
		begun = time.Now()
		dry, err := f.e.Release(t.Context(), jobs.ReleaseRequest{Spec: update.Spec{All: true, AllImages: true}, DryRun: true})
		if took := time.Since(begun); err != nil || len(dry.Results) != 1 || dry.Results[0].ID != "shop:deployment/web" || took > 3*time.Minute {
			t.Errorf("after %s: %+v, %v", took, dry, err)
		}
		if !strings.Contains(dry.Error, "sync.evil: renderer.memory.apps: render: timeout of 2m0s has passed") {
			t.Errorf("problem %q", dry.Error)
		}
	})
}
