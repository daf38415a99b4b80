package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// eventsOf returns the events of a node with the reason.
func eventsOf(t *testing.T, e *Engine, node, reason string) []event.Event {
	t.Helper()
	var list []event.Event
	err := e.Events(t.Context(), EventQuery{}, func(ev event.Event) error {
		if ev.Node == node && ev.Reason == reason {
			list = append(list, ev)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOneCommitOneEvent: what one commit writes, or fails to, is one event and
// one failure of the node, however many workloads it is about.
func TestOneCommitOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := map[string]string{}
		for i := range 49 {
			name := fmt.Sprintf("m%02d", i)
			files[name+".yaml"] = declared("shop", name, "registry.invalid/web:1.0.0", yes...)
		}
		f := newFleet(t, automated, files)
		f.refuse(sdk.Permanent(errors.New("the server declines: protected branch")))
		f.registry("web", "1.0.0", "1.1.0")
		n := expect(t, f.e, automation, Failed, "protected branch (and 48 more)")
		if n.Failures != 1 || !strings.Contains(n.Unblock, `branch = "..." in image_automation.shop`) || !strings.Contains(n.Unblock, "write access of source.memory.shop") {
			t.Errorf("%d failures, unblock %q", n.Failures, n.Unblock)
		}
		f.look()
		f.look()
		if n := expect(t, f.e, automation, Failed, "protected branch"); n.Failures != 3 {
			t.Errorf("%d failures after three tries", n.Failures)
		}
		events := eventsOf(t, f.e, automation, updates.EventCommitFailed)
		if len(events) != 1 || events[0].Object != "" || !strings.Contains(events[0].Message, "protected branch (49 images: shop:deployment/m") || !strings.HasSuffix(events[0].Message, "and 46 more)") {
			t.Errorf("%+v", events)
		}
		if failed := eventsOf(t, f.e, automation, eventFailed); len(failed) != 1 {
			t.Errorf("%+v", failed)
		}

		f.refuse(nil)
		f.look()
		f.wantCommits(1)
		sleepFor(t, time.Minute)
		expect(t, f.e, automation, Ready, "")
		events = eventsOf(t, f.e, automation, updates.EventCommitted)
		if len(events) != 1 || events[0].Object != "" || events[0].Attrs["edits"] != "49" || !strings.HasSuffix(events[0].Message, "and 46 more") {
			t.Errorf("%+v", events)
		}
	})
}

// TestSourceAnswers: when a source that was away answers, what waits for it is
// tried at once; until then the automation says what it waits for.
func TestSourceAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.refuse(sdk.Permanent(errors.New("protected branch declined")))
		f.registry("web", "1.0.0", "1.1.0")
		expect(t, f.e, automation, Failed, "declined")
		f.refuse(errors.New("cannot connect"))
		f.repo.fail(errors.New("cannot connect"))
		f.look()
		expect(t, f.e, automation, Waiting, "waits to write 1 change: cannot connect")
		sleepFor(t, 20*time.Minute) // a long back-off
		f.e.trigger("source.memory.shop", sched.Webhook)
		synctest.Wait()
		f.refuse(nil)
		f.repo.fail(nil)
		f.wantCommits(0)
		f.e.trigger("source.memory.shop", sched.Webhook)
		synctest.Wait()
		f.wantCommits(1)
		sleepFor(t, time.Second)
		expect(t, f.e, automation, Ready, "")
	})
}

// TestTogether: what registries have when the daemon starts, and what is pushed
// together later, is one commit each, and one event for each repository.
func TestTogether(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	parts := []string{"api", "web", "worker"}
	w := newWorld(t)
	repo := w.repo("mem://shop")
	repo.writable, repo.rev, repo.files = true, 1, map[string]string{}
	w.runs = true
	var running []applier.Workload
	for _, name := range parts {
		r.Push("shop/"+name, registrytest.Image{Tags: []string{"1.0.0", "1.1.0"}})
		for _, copied := range []string{name, name + "-2"} {
			image := "registry.test/shop/" + name + ":1.0.0"
			repo.files[copied+".yaml"] = declared("shop", copied, image, yes...)
			d := deployment("shop", copied, image, map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.main": "semver:^1"})
			d.Owner, d.Containers = "shop", d.Containers[1:]
			running = append(running, d)
		}
	}
	r.SetFaults(registrytest.Fault{Path: "shop/worker/tags", Delay: "500ms"})
	w.target(kube).Run(running...)
	e := w.start(automated + fmt.Sprintf("registry \"registry.test\" {\n endpoint = %q\n insecure = true\n}\n", r.URL()))
	awaitEvent(t, e, automation, updates.EventCommitted, "shop:deployment/api main from registry.test/shop/api:1.0.0 to registry.test/shop/api:1.1.0")
	if got := repo.written(); len(got) != 1 || len(repo.commits[0].Edits) != 6 {
		t.Fatalf("%d commits, want one of 6 files: %q", len(got), got)
	}

	if _, err := e.SyncAndWait(t.Context(), SyncRequest{}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.SyncAndWait(t.Context(), SyncRequest{Names: []string{automation}}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range parts {
		r.Push("shop/"+name, registrytest.Image{Tags: []string{"1.2.0"}})
	}
	if _, err := e.Images(t.Context(), available.Request{Scan: true}, nil); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, e, automation, updates.EventCommitted, "registry.test/shop/api:1.2.0")
	if got := repo.written(); len(got) != 2 || len(repo.commits[1].Edits) != 6 {
		t.Errorf("%d commits, want a second of 6 files: %q", len(got), got)
	}
	var messages []string
	for _, ev := range eventsOf(t, e, kube, eventNewImages) {
		messages = append(messages, ev.Message)
	}
	slices.Sort(messages)
	if len(messages) != 3 || messages[0] != "main of shop:deployment/api, main of shop:deployment/api-2: registry.test/shop/api has 1.2.0" {
		t.Errorf("%q", messages)
	}
}
