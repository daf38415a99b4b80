package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// manual is a daemon without automation, whose registry nobody has asked yet.
func manual(t *testing.T, r *registrytest.Registry, image string) (*Engine, *repo) {
	t.Helper()
	w := newWorld(t)
	repo := w.repo("mem://shop")
	repo.writable, repo.rev = true, 1
	repo.files = map[string]string{"web.yaml": declared("shop", "web", image, "fluxcd.io/tag.main=semver:*")}
	w.runs = true
	d := deployment("shop", "web", image, nil)
	d.Owner, d.Containers = "shop", d.Containers[1:]
	w.target(kube).Run(d)
	e := w.start(shop + fmt.Sprintf("registry \"registry.test\" {\n endpoint = %q\n insecure = true\n}\n", r.URL()))
	awaitEvent(t, e, "sync.shop", eventApplied, "")
	return e, repo
}

var webOnly = update.Spec{Workloads: []string{"shop:deployment/web"}, AllImages: true}

// TestReleaseAsksRegistry: a release of what is not automated, and its dry run,
// ask the registry themselves, and so does whoever asks why.
func TestReleaseAsksRegistry(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.0.0"}})
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.1.0"}})
	e, repo := manual(t, r, "registry.test/shop/web:1.0.0")

	why, err := e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:deployment/web"})
	if err != nil || len(why) != 1 || why[0].Selection.Selected != "1.1.0" {
		t.Fatalf("%+v, %v", why, err)
	}
	for _, part := range []string{"it is not automated", "no image_automation is declared"} {
		if !strings.Contains(why[0].Blocked, part) {
			t.Errorf("held back: %q lacks %q", why[0].Blocked, part)
		}
	}
	if _, err := e.ClearImageCache("*"); err != nil {
		t.Fatal(err)
	}
	dry, err := e.Release(t.Context(), jobs.ReleaseRequest{Spec: webOnly, DryRun: true})
	if err != nil || dry.State != jobs.Succeeded || len(dry.Results) != 1 || len(dry.Results[0].Containers) != 1 {
		t.Fatalf("%+v, %v", dry, err)
	}
	if got := dry.Results[0].Containers[0].Target; got != "registry.test/shop/web:1.1.0" {
		t.Errorf("target %s", got)
	}
	job, err := e.Release(t.Context(), jobs.ReleaseRequest{Spec: webOnly})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := e.WaitJob(t.Context(), job.ID, false); err != nil || done.State != jobs.Succeeded || len(repo.written()) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestReleaseWithoutRegistry: where the registry does not answer, a release that
// needs it says so and fails, in the time that it has.
func TestReleaseWithoutRegistry(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.0.0"}})
	e, repo := manual(t, r, "registry.test/shop/web:1.0.0")
	r.SetFaults(registrytest.Fault{Status: 503})
	begun := time.Now()
	job, err := e.Release(t.Context(), jobs.ReleaseRequest{Spec: webOnly, Timeout: 500 * time.Millisecond, DryRun: true})
	if err != nil || job.State != jobs.Failed || !strings.Contains(job.Error, update.ReasonImageNotFound) {
		t.Errorf("%+v, %v", job, err)
	}
	if len(job.Results) != 1 || !slices.ContainsFunc(job.Results[0].Warnings, func(text string) bool {
		return strings.Contains(text, "registry.test/shop/web was not asked for news")
	}) {
		t.Errorf("%+v", job.Results)
	}
	one := update.Spec{Workloads: webOnly.Workloads, Image: "registry.test/shop/web:1.1.0"}
	job, err = e.Release(t.Context(), jobs.ReleaseRequest{Spec: one, Timeout: 500 * time.Millisecond, DryRun: true})
	if err != nil || job.State != jobs.Failed || !strings.Contains(job.Error, "registry.test/shop/web:1.1.0") {
		t.Errorf("%+v, %v", job, err)
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := repo.written(); len(got) != 0 {
		t.Errorf("commits %q", got)
	}
}

// TestJobsTell: jobs say what was asked for, what they wait for, and fail if
// nothing of what was named could be done; the beginning of an id is enough.
func TestJobsTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, shop, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
		finished := func(job jobs.Job, err error) jobs.Job {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if job, err = f.e.WaitJob(t.Context(), strings.ToLower(job.ID[:12]), false); err != nil {
				t.Fatal(err)
			}
			return job
		}
		got := []string{}
		for _, change := range []jobs.PolicyRequest{
			{Workloads: []string{"shop:deployment/none"}, Change: update.PolicyChange{Lock: true}},
			{Workloads: []string{"shop:deploy/web"}, Change: update.PolicyChange{Tags: map[string]string{"typo": "semver:~1"}}},
			{Workloads: []string{"shop:deploy/web", "shop:deploy/none"}, Change: update.PolicyChange{Lock: true, LockUser: "ann", LockMessage: "stock-taking"}},
		} {
			job := finished(f.e.Policy(t.Context(), change))
			got = append(got, job.Asked, job.State+": "+job.Error)
		}
		want := []string{
			"lock shop:deployment/none", "failed: shop:deployment/none: not found in repository",
			"tag.typo=semver:~1 shop:deployment/web", "failed: shop:deployment/web: container(s) not found: typo",
			"lock shop:deployment/web, shop:deployment/none", "succeeded: shop:deployment/none: not found in repository",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		locked := finished(f.e.Release(t.Context(), jobs.ReleaseRequest{Spec: update.Spec{Workloads: []string{"deploy/web"}, AllImages: true}, Namespace: "shop"}))
		if locked.Asked != "release the newest images to shop:deployment/web" || locked.State != jobs.Succeeded || locked.Results[0].Why() != "locked by ann: stock-taking" {
			t.Errorf("%+v", locked)
		}

		f.repo.mu.Lock()
		f.repo.refuse = errors.New("the network is down")
		f.repo.mu.Unlock()
		job, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:deployment/web"}, Change: update.PolicyChange{Unlock: true}})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, 10*time.Second)
		now, err := f.e.Job(job.ID)
		if err != nil || now.State != jobs.Running || !strings.Contains(now.Waiting, "the network is down") {
			t.Errorf("%+v, %v", now, err)
		}
		if diff := cmp.Diff("locked removed, locked_msg removed, locked_user removed", now.Results[0].Detail); diff != "" {
			t.Error(diff)
		}
		for _, id := range []string{"", "?"} {
			if _, err := f.e.Job(id); !errors.Is(err, refusal.ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}
