package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// errEnough ends the following of events.
var errEnough = errors.New("enough")

// awaitEvent waits until a node says something, from the beginning on.
func awaitEvent(t *testing.T, e *Engine, node, reason, message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var seen []string
	err := e.Events(ctx, EventQuery{Follow: true}, func(ev event.Event) error {
		seen = append(seen, ev.Node+" "+ev.Reason+": "+ev.Message)
		if ev.Node == node && ev.Reason == reason && strings.Contains(ev.Message, message) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("%v; %s said none of %s %q:\n%s", err, node, reason, message, strings.Join(seen, "\n"))
	}
}

// TestPushToCommit: what is pushed to a real registry is in git as soon as a
// scan has seen it; a release asks the registry for the tag; a pinned image
// stays pinned.
func TestPushToCommit(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	first := r.Push("shop/web", registrytest.Image{Tags: []string{"1.0.0"}, Content: "one"})
	hcl := automated + fmt.Sprintf(`
registry "registry.test" {
  endpoint = %q
  insecure = true
}
`, r.URL())
	w := newWorld(t)
	repo := w.repo("mem://shop")
	repo.writable, repo.rev = true, 1
	repo.files = map[string]string{
		"web.yaml":    declared("shop", "web", "registry.test/shop/web:1.0.0", yes...),
		"pinned.yaml": declared("shop", "pinned", "registry.test/shop/web:1.0.0@"+first, yes...),
	}
	w.runs = true
	running := func() []applier.Workload {
		var list []applier.Workload
		for _, name := range []string{"web", "pinned"} {
			d := deployment("shop", name, "registry.test/shop/web:1.0.0", map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.main": "semver:^1"})
			d.Owner, d.Containers = "shop", d.Containers[1:]
			list = append(list, d)
		}
		list[1].Containers[0].Image += "@" + first
		return list
	}
	w.target(kube).Run(running()...)
	e := w.start(hcl)
	awaitEvent(t, e, "sync.shop", eventApplied, "")
	second := r.Push("shop/web", registrytest.Image{Tags: []string{"1.1.0"}, Content: "two"})
	if _, err := e.Images(t.Context(), available.Request{Scan: true}, nil); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, e, automation, updates.EventCommitted, "web main from registry.test/shop/web:1.0.0 to registry.test/shop/web:1.1.0")
	awaitEvent(t, e, automation, updates.EventCommitted, "pinned main")
	if got := repo.read("pinned.yaml"); !strings.Contains(got, "registry.test/shop/web:1.1.0@"+second) {
		t.Errorf("%s", got)
	}

	r.Push("shop/web", registrytest.Image{Tags: []string{"0.9.0"}, Content: "old"})
	for image, want := range map[string]string{"registry.test/shop/web:0.9.0": jobs.Succeeded, "registry.test/shop/web:7": jobs.Failed} {
		job, err := e.Release(t.Context(), jobs.ReleaseRequest{Spec: update.Spec{Workloads: []string{"shop:deployment/web"}, Image: image, Force: true}})
		if err != nil {
			t.Fatal(err)
		}
		done, err := e.WaitJob(t.Context(), job.ID, false)
		if err != nil || done.State != want {
			t.Errorf("%s: %+v, %v", image, done, err)
		}
	}
}

// TestRegistryLosesTags: nothing is replaced because a registry has lost half of
// its tags, however often it says so.
func TestRegistryLosesTags(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	for i := range 10 {
		r.Push("shop/web", registrytest.Image{Tags: []string{fmt.Sprintf("1.%d.0", i)}})
	}
	w := newWorld(t)
	repo := w.repo("mem://shop")
	repo.writable, repo.rev = true, 1
	repo.files = map[string]string{"web.yaml": declared("shop", "web", "registry.test/shop/web:1.0.0", yes...)}
	w.runs = true
	d := deployment("shop", "web", "registry.test/shop/web:1.0.0", map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.main": "semver:^1"})
	d.Owner, d.Containers = "shop", d.Containers[1:]
	w.target(kube).Run(d)
	e := w.start(automated + fmt.Sprintf("registry \"registry.test\" {\n endpoint = %q\n insecure = true\n}\n", r.URL()))
	scan := func() {
		t.Helper()
		if _, err := e.Images(t.Context(), available.Request{Scan: true}, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := e.SyncAndWait(t.Context(), SyncRequest{Names: []string{automation}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	awaitEvent(t, e, "sync.shop", eventApplied, "")
	scan()
	awaitEvent(t, e, automation, updates.EventCommitted, "to registry.test/shop/web:1.9.0")
	for i := 5; i < 10; i++ {
		r.Untag("shop/web", fmt.Sprintf("1.%d.0", i))
	}
	for range 3 {
		scan()
	}
	if got := repo.written(); len(got) != 1 || !strings.Contains(repo.read("web.yaml"), "web:1.9.0") {
		t.Errorf("commits %q\n%s", got, repo.read("web.yaml"))
	}
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.10.0"}})
	scan()
	awaitEvent(t, e, automation, updates.EventCommitted, "to registry.test/shop/web:1.10.0")
}

// TestRegistryUnavailable: who waits for a registry that is down hears in time
// what it answers, and nobody waits when it is well again.
func TestRegistryUnavailable(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.0.0"}})
	w := newWorld(t)
	repo := w.repo("mem://shop")
	repo.writable, repo.rev = true, 1
	repo.files = map[string]string{"web.yaml": declared("shop", "web", "registry.test/shop/web:1.0.0", yes...)}
	w.runs = true
	d := deployment("shop", "web", "registry.test/shop/web:1.0.0", nil)
	d.Owner, d.Containers = "shop", d.Containers[1:]
	w.target(kube).Run(d)
	r.SetFaults(registrytest.Fault{Class: "tags", Status: 503}, registrytest.Fault{Class: "manifest-head", Status: 503})
	e := w.start(automated + fmt.Sprintf("registry \"registry.test\" {\n endpoint = %q\n insecure = true\n}\n", r.URL()))
	awaitEvent(t, e, "sync.shop", eventApplied, "")
	ask := func(timeout time.Duration) (jobs.Job, time.Duration) {
		t.Helper()
		start := time.Now()
		job, err := e.Release(t.Context(), jobs.ReleaseRequest{
			Spec: update.Spec{Workloads: []string{"shop:deployment/web"}, Image: "registry.test/shop/web:1.1.0"}, DryRun: true, Timeout: timeout,
		})
		if err != nil {
			t.Fatal(err)
		}
		return job, time.Since(start)
	}
	job, took := ask(time.Second / 2)
	said := fmt.Sprintf("%s %+v", job.Error, job.Results)
	if took > 10*time.Second || !strings.Contains(said, "503") || !strings.Contains(said, "registry.test") {
		t.Errorf("after %s: %s", took, said)
	}
	r.SetFaults()
	r.Push("shop/web", registrytest.Image{Tags: []string{"1.1.0"}})
	if job, took := ask(time.Minute); took > 20*time.Second || len(job.Results) != 1 || job.Results[0].Status != update.Success {
		t.Errorf("after %s: %+v", took, job)
	}
}
