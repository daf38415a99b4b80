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

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

const automated = shop + `
image_automation "shop" { sync = sync.shop }
`

const automation = "image_automation.shop"

// declared is a deployment of one container called main, as a file.
func declared(namespace, name, image string, annotations ...string) string {
	text := ""
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		text += fmt.Sprintf("    %s: %q\n", key, value)
	}
	if text != "" {
		text = "  annotations:\n" + text
	}
	return fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s\n  namespace: %s\n%sspec: # as it is\n  template:\n    spec:\n      containers:\n        - {name: main, image: '%s'}\n",
		name, namespace, text, image)
}

// yes is the annotations of what is automated within a major version.
var yes = []string{"fluxcd.io/automated=true", "fluxcd.io/tag.main=semver:^1"}

// fleet is a daemon with a shop of deployments that git declares and that run.
type fleet struct {
	*world
	e    *Engine
	repo *repo
}

// newFleet starts one with the files by name, each a deployment that runs.
func newFleet(t *testing.T, hcl string, files map[string]string) *fleet {
	w := newWorld(t)
	f := &fleet{world: w, repo: w.repo("mem://shop")}
	f.repo.writable = true
	f.repo.rev, f.repo.files = 1, files
	w.runs = true
	f.rolledOut(nil)
	f.e = w.start(hcl)
	synctest.Wait()
	return f
}

// restart ends the daemon and starts another over the same data; meanwhile may
// be nil.
func (f *fleet) restart(meanwhile func()) {
	f.t.Helper()
	f.stop(f.e)
	if meanwhile != nil {
		meanwhile()
	}
	e := f.engine()
	if diags := e.Load(f.t.Context()); diags.HasErrors() {
		f.t.Fatal(diags.Err())
	}
	if err := e.start(f.t.Context(), true); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.stop(e) })
	f.e = e
}

// rolledOut makes the cluster run what git declares; change may be nil.
func (f *fleet) rolledOut(change func(*applier.Workload)) {
	var running []applier.Workload
	for _, text := range f.repo.files {
		if !strings.Contains(text, "kind: Deployment") {
			continue
		}
		field := func(name string) string {
			_, rest, _ := strings.Cut(text, name)
			value, _, _ := strings.Cut(rest, "\n")
			return strings.Trim(value, " '}")
		}
		w := deployment(field("\n  namespace:"), field("\n  name:"), field("image:"), nil)
		w.Owner, w.Containers = "shop", w.Containers[1:]
		if change != nil {
			change(&w)
		}
		running = append(running, w)
	}
	f.target(kube).Run(running...)
}

// registry makes these the tags that are known of a repository, and has
// everybody look.
func (f *fleet) registry(repository string, tags ...string) {
	f.t.Helper()
	l := cache.Listing{At: time.Now(), Changed: time.Now()}
	for _, tag := range slices.Sorted(slices.Values(tags)) {
		l.Tags = append(l.Tags, registry.Tag{Name: tag})
	}
	if _, err := f.e.imaging.cache.PutListing(cache.Key{Host: "registry.invalid", Repository: repository}, l); err != nil {
		f.t.Fatal(err)
	}
	f.look()
}

func (f *fleet) look() {
	f.e.trigger(automation, sched.Webhook)
	sleepFor(f.t, time.Second) // the queue gathers for less
}

func (f *fleet) wantCommits(n int) {
	f.t.Helper()
	if got := f.repo.written(); len(got) != n {
		f.t.Fatalf("%d commits, want %d: %q", len(got), n, got)
	}
}

func (f *fleet) wantImage(file, image string) {
	f.t.Helper()
	if text := f.repo.read(file); !strings.Contains(text, "'"+image+"'") {
		f.t.Fatalf("%s lacks %s:\n%s", file, image, text)
	}
}

func TestAutomation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{
			"web.yaml":  declared("shop", "web", "registry.invalid/web:1.0.0", yes...),
			"api.yaml":  declared("shop", "api", "registry.invalid/web:1.0.0", yes...),
			"held.yaml": declared("shop", "held", "registry.invalid/web:1.0.0", append(yes, "fluxcd.io/locked=true")...),
			"ign.yaml":  declared("shop", "ign", "registry.invalid/web:1.0.0", append(yes, "fluxcd.io/ignore=true")...),
			"man.yaml":  declared("shop", "man", "registry.invalid/web:1.0.0"),
			"bad.yaml":  "apiVersion: apps/v1\nkind: Deployment\nspec: {image: [\n",
		})
		f.registry("web", "1.0.0", "1.1.0", "2.0.0")
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
		f.wantImage("api.yaml", "registry.invalid/web:1.1.0")
		for _, file := range []string{"held.yaml", "ign.yaml", "man.yaml"} {
			f.wantImage(file, "registry.invalid/web:1.0.0")
		}
		before := declared("shop", "web", "registry.invalid/web:1.0.0", yes...)
		if diff := cmp.Diff(strings.Replace(before, "1.0.0", "1.1.0", 1), f.repo.read("web.yaml")); diff != "" {
			t.Errorf("more than the tag has changed (-want +got):\n%s", diff)
		}
		n := expect(t, f.e, automation, Ready, "workloads looked after")
		if n.Revision != "rev2" || len(n.Problems) == 0 || n.Problems[0].File != "bad.yaml" {
			t.Errorf("%+v", n)
		}
		if got := eventReasons(t, f.e, automation); !slices.Contains(got, updates.EventCommitted) {
			t.Errorf("events %q", got)
		}
		f.e.mu.Lock()
		applied := f.e.nodes["sync.shop"].sync.record.Revision.ID
		f.e.mu.Unlock()
		if applied == "rev1" {
			t.Error("the sync has not followed")
		}
		f.look()
		f.wantCommits(1)
		x, err := f.e.Why(t.Context(), automation, "")
		lines := strings.Join(x.Lines, "\n")
		if err != nil || !strings.Contains(lines, "left alone: shop:deployment/held: locked") || !strings.Contains(lines, "error: bad.yaml:4") || !strings.Contains(lines, "updates the images of sync.shop") {
			t.Errorf("%v\n%s", err, lines)
		}

		f.repo.put("man.yaml", declared("shop", "man", "registry.invalid/web:1.0.0", yes...))
		f.e.trigger("source.memory.shop", sched.Webhook)
		sleepFor(t, time.Second)
		f.wantCommits(2)
		f.wantImage("man.yaml", "registry.invalid/web:1.1.0")
	})
}

// TestNoSecondCommit: what was pushed and not been polled is not proposed again,
// however often anybody looks; neither is what waits in the queue, nor after a
// restart.
func TestNoSecondCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.repo.mu.Lock()
		f.repo.refuse = errors.New("the network is down")
		f.repo.mu.Unlock()
		f.registry("web", "1.0.0", "1.1.0")
		for range 3 {
			f.look()
		}
		f.wantCommits(0)
		if p := f.e.Status().Pending; len(p) != 1 || p[0].Changes != 1 || !strings.Contains(p[0].Error, "network") {
			t.Fatalf("pending %+v", p)
		}
		expect(t, f.e, automation, Waiting, "waits to write 1 change: the network is down")

		f.restart(func() { f.repo.refuse = nil })
		sleepFor(t, time.Minute)
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.1.0")

		f.repo.fail(errors.New("no answer")) // the commit will not be polled
		f.registry("web", "1.0.0", "1.1.0", "1.2.0")
		for range 3 {
			f.look()
			sleepFor(t, time.Minute)
		}
		if got := f.repo.written(); len(got) > 2 {
			t.Errorf("commits %q", got)
		}
	})
}

func TestSoak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := shop + "image_automation \"shop\" {\n sync = sync.shop\n soak = \"1h\"\n}\n"
		f := newFleet(t, hcl, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(0)
		expect(t, f.e, automation, Ready, "soaks until")
		sleepFor(t, 30*time.Minute)
		f.restart(nil)
		sleepFor(t, 20*time.Minute)
		f.wantCommits(0)
		sleepFor(t, 11*time.Minute)
		f.wantCommits(1)
	})
}

func TestSuspendedAutomation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := shop + "image_automation \"shop\" {\n sync = sync.shop\n suspend = true\n suspend_reason = \"black friday\"\n}\n"
		f := newFleet(t, hcl, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.registry("web", "1.0.0", "1.1.0")
		expect(t, f.e, automation, Suspended, "black friday")
		f.wantCommits(0)
		f.configure(automated)
		if _, err := f.e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		f.wantCommits(1)
		if _, err := f.e.Suspend(t.Context(), SuspendRequest{Names: []string{automation}, By: "ann", Reason: "lunch"}); err != nil {
			t.Fatal(err)
		}
		f.registry("web", "1.0.0", "1.1.0", "1.2.0")
		f.wantCommits(1)
		if _, err := f.e.Resume(t.Context(), ResumeRequest{Names: []string{automation}}); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		f.wantCommits(2)
	})
}

// TestReadOnlySource: what cannot be written says so, once, and goes on when it
// can be.
func TestReadOnlySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.repo.refuse = sdk.Permanent(errors.New("the source is read-only: add write { } to its block"))
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(0)
		expect(t, f.e, automation, Failed, "add write { }")
		f.repo.mu.Lock()
		f.repo.refuse = nil
		f.repo.mu.Unlock()
		sleepFor(t, 10*time.Minute)
		f.wantCommits(1)
		expect(t, f.e, automation, Ready, "")
	})
}

// TestBlockedAutomation: nothing is decided on a revision that only an earlier
// process has seen, which may lack what that has pushed.
func TestBlockedAutomation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.restart(func() { f.repo.fail(errors.New("no answer")) })
		f.registry("web", "1.0.0", "1.1.0")
		expect(t, f.e, automation, Blocked, "source.memory.shop has not been asked for its newest revision yet")
		x, err := f.e.Why(t.Context(), automation, "")
		if err != nil || !strings.Contains(strings.Join(x.Lines, "\n"), "no answer") {
			t.Errorf("%+v, %v", x, err)
		}
		f.wantCommits(0)
		f.repo.fail(nil)
		sleepFor(t, 10*time.Minute)
		f.wantCommits(1)
	})
}

// TestManyWorkloads: everything that is pending is one commit.
func TestManyWorkloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files := map[string]string{}
		for i := range 100 {
			files[fmt.Sprintf("w%03d.yaml", i)] = declared("shop", fmt.Sprintf("w%03d", i), "registry.invalid/web:1.0.0", yes...)
		}
		f := newFleet(t, automated, files)
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(1)
		if got := len(f.repo.commits[0].Edits); got != 100 {
			t.Errorf("%d files in the commit", got)
		}
	})
}

func TestHealthGate(t *testing.T) {
	gated := shop + "image_automation \"shop\" {\n sync = sync.shop\n health {\n  timeout = \"10m\"\n  revert = true\n }\n}\n"
	begin := func(t *testing.T) *fleet {
		f := newFleet(t, gated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(1)
		return f
	}
	phase := func(p applier.Phase, message string) func(*applier.Workload) {
		return func(w *applier.Workload) { w.Rollout = applier.Rollout{Phase: p, Message: message, Desired: 1} }
	}
	t.Run("healthy", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t)
			f.rolledOut(phase(applier.RolloutUpdating, ""))
			sleepFor(t, 2*time.Minute)
			f.rolledOut(nil)
			sleepFor(t, time.Minute)
			if got := eventReasons(t, f.e, automation); !slices.Contains(got, updates.EventRolledOut) {
				t.Errorf("events %q", got)
			}
			looks := f.target(kube).Calls("Workloads")
			sleepFor(t, 4*time.Minute)
			if n := f.target(kube).Calls("Workloads") - looks; n > 2 {
				t.Errorf("%d looks though nothing is followed", n)
			}
			sleepFor(t, 20*time.Minute)
			f.wantCommits(1)
		})
	})
	t.Run("fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t)
			f.rolledOut(phase(applier.RolloutFailed, "CrashLoopBackOff"))
			sleepFor(t, time.Minute)
			f.wantCommits(2)
			f.wantImage("web.yaml", "registry.invalid/web:1.0.0")
			f.rolledOut(nil)
			sleepFor(t, 20*time.Minute)
			f.wantCommits(2)
			if q := f.e.Quarantined(); len(q) != 1 || q[0].Tag != "1.1.0" || q[0].Sync != "sync.shop" || !strings.Contains(q[0].Reason, "CrashLoopBackOff") {
				t.Fatalf("%+v", q)
			}
			why, err := f.e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:deployment/web"})
			if err != nil || len(why) != 1 || !slices.ContainsFunc(why[0].Selection.Tags, func(v policy.Verdict) bool {
				return v.Tag == "1.1.0" && !v.Accepted && strings.Contains(v.Reason, "CrashLoopBackOff")
			}) {
				t.Errorf("%+v, %v", why, err)
			}
			f.registry("web", "1.0.0", "1.1.0", "1.1.1")
			f.wantCommits(3)
			f.wantImage("web.yaml", "registry.invalid/web:1.1.1")
			if _, err := f.e.Unquarantine(t.Context(), updates.UnquarantineRequest{Image: "registry.invalid/web:1.1.0"}); err != nil {
				t.Error(err)
			}
			if _, err := f.e.Unquarantine(t.Context(), updates.UnquarantineRequest{Image: "registry.invalid/web:1.1.0"}); !errors.Is(err, refusal.ErrNotFound) {
				t.Error(err)
			}
		})
	})
	t.Run("timeout after a restart", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t)
			f.rolledOut(phase(applier.RolloutUpdating, "waits for a node"))
			sleepFor(t, 5*time.Minute)
			f.restart(nil)
			sleepFor(t, 4*time.Minute)
			f.wantCommits(1)
			sleepFor(t, 2*time.Minute)
			f.wantCommits(2)
			f.wantImage("web.yaml", "registry.invalid/web:1.0.0")
		})
	})
}

func TestPolicyBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := automated + `
image_policy "web" {
  policy    = "semver:^1"
  workloads = ["shop:deployment/w*"]
}
image_policy "marked" {
  policy = "semver:*"
  images = ["registry.invalid/tool"]
}
`
		f := newFleet(t, hcl, map[string]string{
			"web.yaml":   declared("shop", "web", "registry.invalid/web:1.0.0"),
			"own.yaml":   declared("shop", "wown", "registry.invalid/web:1.0.0", "fluxcd.io/tag.main=semver:~1.0"),
			"other.yaml": declared("shop", "other", "registry.invalid/web:1.0.0"),
			"cm.yaml":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\ndata:\n  tool: registry.invalid/tool:1.0.0 # {\"$sluice\": \"marked\"}\n",
		})
		f.registry("web", "1.0.0", "1.0.1", "1.1.0", "2.0.0")
		f.registry("tool", "1.0.0", "3.0.0")
		f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
		f.wantImage("own.yaml", "registry.invalid/web:1.0.1")
		f.wantImage("other.yaml", "registry.invalid/web:1.0.0")
		if got := f.repo.read("cm.yaml"); !strings.Contains(got, "tool: registry.invalid/tool:3.0.0 #") {
			t.Errorf("%s", got)
		}
		f.wantCommits(1) // the automation has waited for the first scans of both
	})
}

// TestRenderer: what is rendered is applied and updated like plain manifests, and
// rendered once for each tree.
func TestRenderer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := `
source "memory" "shop" { url = "mem://shop" }
renderer "memory" "apps" {}
sync "shop" {
  source   = source.memory.shop
  renderer = renderer.memory.apps
}
image_automation "shop" { sync = sync.shop }
`
		w := newWorld(t)
		w.runs = true
		f := &fleet{world: w, repo: w.repo("mem://shop")}
		f.repo.writable, f.repo.rev = true, 1
		f.repo.files = map[string]string{"web.app": "registry.invalid/web:1.0.0", "api.app": "registry.invalid/web:1.0.0"}
		web := deployment("shop", "web", "registry.invalid/web:1.0.0", nil)
		web.Owner, web.Containers = "shop", web.Containers[1:]
		f.target(kube).Run(web)
		f.e = w.start(hcl)
		synctest.Wait()
		expect(t, f.e, "renderer.memory.apps", Ready, "")
		if diff := cmp.Diff([]string{"api", "web"}, w.target(kube).Names("shop")); diff != "" {
			t.Fatal(diff)
		}
		if w.renders != 1 {
			t.Errorf("rendered %d times", w.renders)
		}
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(1)
		if got := f.repo.read("web.app") + " " + f.repo.read("api.app"); got != "registry.invalid/web:1.1.0 registry.invalid/web:1.0.0" {
			t.Error(got)
		}
		why, err := f.e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:deployment/web"})
		if err != nil || len(why) != 1 || why[0].File != "web.app" || why[0].Line != 1 || why[0].Image != "registry.invalid/web:1.1.0" {
			t.Errorf("%+v, %v", why, err)
		}
		renders := w.renders
		sleepFor(t, 20*time.Minute)
		if w.renders != renders {
			t.Errorf("rendered %d times though nothing changed", w.renders-renders)
		}
		f.repo.put("api.app", "")
		f.e.trigger("source.memory.shop", sched.Webhook)
		expect(t, f.e, "sync.shop", Failed, "api.app: no image")
		if diff := cmp.Diff([]string{"api", "web"}, w.target(kube).Names("shop")); diff != "" {
			t.Error("a rendering that fails has deleted something: " + diff)
		}
		expect(t, f.e, automation, Failed, "api.app: no image")
	})
}

// TestBranch: what waits on a branch is not pushed there again.
func TestBranch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := shop + "image_automation \"shop\" {\n sync = sync.shop\n branch = \"updates\"\n message = \"{{ range .Changes }}{{ .Workload }}: {{ .From }} -> {{ .To }}{{ end }}\"\n}\n"
		f := newFleet(t, hcl, map[string]string{
			"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...),
			"api.yaml": declared("shop", "api", "registry.invalid/api:1.0.0", yes...),
		})
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.0.0")
		if got, want := f.repo.commits[0].Message, "shop:deployment/web: registry.invalid/web:1.0.0 -> registry.invalid/web:1.1.0"; got != want {
			t.Errorf("the message is %q, want %q", got, want)
		}
		expect(t, f.e, automation, Ready, "it waits on the branch updates")
		awaitEvent(t, f.e, automation, updates.EventCommitted, "web main from registry.invalid/web:1.0.0 to registry.invalid/web:1.1.0")
		for range 3 {
			f.look()
		}
		f.wantCommits(1)
		expect(t, f.e, automation, Ready, "branch updates")
		f.restart(nil)
		f.look()
		f.wantCommits(1)
		f.registry("api", "1.0.0", "1.1.0")
		f.wantCommits(2)
		if got := len(f.repo.commits[1].Edits); got != 1 || f.repo.commits[1].Branch != "updates" {
			t.Errorf("%d edits on %q", got, f.repo.commits[1].Branch)
		}
	})
}

func TestRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, shop, map[string]string{
			"web.yaml":  declared("shop", "web", "registry.invalid/web:1.0.0", "fluxcd.io/tag.main=semver:^1"),
			"api.yaml":  declared("shop", "api", "registry.invalid/web:1.0.0"),
			"held.yaml": declared("shop", "held", "registry.invalid/web:1.0.0", "fluxcd.io/locked=true"),
		})
		f.registry("web", "1.0.0", "1.1.0", "2.0.0")
		req := jobs.ReleaseRequest{Spec: update.Spec{All: true, AllImages: true}, User: "Ann <ann@example.org>", DryRun: true}
		dry, err := f.e.Release(t.Context(), req)
		if err != nil || dry.ID != "" || dry.State != jobs.Succeeded || len(dry.Results) != 3 {
			t.Fatalf("%+v, %v", dry, err)
		}
		f.wantCommits(0)

		req.DryRun = false
		req.Spec = update.Spec{Workloads: []string{"deployment/web", "deploy/held"}, AllImages: true}
		req.Namespace = "shop"
		job, err := f.e.Release(t.Context(), req)
		if err != nil || job.ID == "" {
			t.Fatal(job, err)
		}
		done, err := f.e.WaitJob(t.Context(), job.ID, true)
		if err != nil || done.State != jobs.Succeeded || len(done.Commits) != 1 || !done.Commits[0].Applied {
			t.Fatalf("%+v, %v", done, err)
		}
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
		f.wantImage("held.yaml", "registry.invalid/web:1.0.0")
		if got := statuses(done.Results); !cmp.Equal(got, []string{"shop:deployment/api ignored not included", "shop:deployment/held skipped locked", "shop:deployment/web success "}) {
			t.Errorf("%q", got)
		}
		again, err := f.e.Release(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if done, err = f.e.WaitJob(t.Context(), again.ID, false); err != nil || done.State != jobs.Succeeded || len(done.Commits) != 0 {
			t.Errorf("%+v, %v", done, err)
		}
		if jobs := f.e.Jobs(); len(jobs) != 2 || jobs[0].ID == jobs[1].ID {
			t.Errorf("%+v", jobs)
		}
		if _, err := f.e.Job("none"); !errors.Is(err, refusal.ErrNotFound) {
			t.Error(err)
		}
	})
}

func statuses(results []update.Result) []string {
	var list []string
	for _, r := range results {
		list = append(list, fmt.Sprintf("%s %s %s", r.ID, r.Status, r.Reason))
	}
	return list
}

func TestPolicyJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
		f.registry("web", "1.0.0", "1.1.0")
		f.wantCommits(0)
		job, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:deployment/web", "shop:deployment/none"}, Change: update.PolicyChange{Automate: true}})
		if err != nil {
			t.Fatal(err)
		}
		done, err := f.e.WaitJob(t.Context(), job.ID, false)
		if err != nil || done.State != jobs.Succeeded || len(done.Commits) != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		if got := statuses(done.Results); !cmp.Equal(got, []string{"shop:deployment/none skipped not found in repository", "shop:deployment/web success "}) {
			t.Errorf("%q", got)
		}
		if !strings.Contains(f.repo.read("web.yaml"), "sluice.dev/automated") {
			t.Error(f.repo.read("web.yaml"))
		}
		if _, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"deployment/web"}}); !errors.Is(err, refusal.ErrInvalid) {
			t.Error(err)
		}
	})
}

// TestJobSurvives: a job goes on after a restart, with one commit.
func TestJobSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, shop, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
		f.registry("web", "1.0.0", "1.1.0")
		f.repo.mu.Lock()
		f.repo.refuse = errors.New("the network is down")
		f.repo.mu.Unlock()
		spec := update.Spec{Containers: map[string][]update.Swap{"shop:deployment/web": {{Container: "main", Current: "registry.invalid/web:1.0.0", Target: "registry.invalid/web:1.1.0"}}}}
		job, err := f.e.Release(t.Context(), jobs.ReleaseRequest{Spec: spec})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Minute)
		if now, err := f.e.Job(job.ID); err != nil || now.State != jobs.Running {
			t.Fatalf("%+v, %v", now, err)
		}
		f.restart(func() { f.repo.refuse = nil })
		done, err := f.e.WaitJob(t.Context(), job.ID, true)
		if err != nil || done.State != jobs.Succeeded || len(done.Commits) != 1 || !done.Commits[0].Applied {
			t.Fatalf("%+v, %v", done, err)
		}
		f.wantCommits(1)
	})
}

func TestMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := "source \"memory\" \"shop\" { url = \"mem://shop\" }\nsync \"shop\" {\n source = source.memory.shop\n marker \"tag\" { name = \"flux-sync\" }\n}\n"
		f := newFleet(t, hcl, map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
		sleepFor(t, 20*time.Minute)
		if diff := cmp.Diff([]string{"flux-sync rev1"}, f.repo.marks); diff != "" {
			t.Error(diff)
		}
		f.repo.refuse = errors.New("no permission")
		f.repo.put("b.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")
		sleepFor(t, 20*time.Minute)
		expect(t, f.e, "sync.shop", Ready, "rev2")
		failed := 0
		for _, r := range eventReasons(t, f.e, "sync.shop") {
			if r == eventMarkFailed {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d warnings", failed)
		}
		f.repo.mu.Lock()
		f.repo.refuse = nil
		f.repo.mu.Unlock()
		sleepFor(t, 20*time.Minute)
		if diff := cmp.Diff([]string{"flux-sync rev1", "flux-sync rev2"}, f.repo.marks); diff != "" {
			t.Error(diff)
		}
	})
}

// TestWrongRules: what cannot be right is found when the configuration is read.
func TestWrongRules(t *testing.T) {
	w := newWorld(t)
	w.configure(shop + `
image_policy "web" {
  policy    = "semver:not a version"
  workloads = ["*"]
}
image_automation "shop" {
  sync    = sync.shop
  message = "{{ .Nonsense }}"
}
`)
	text := fmt.Sprint(w.engine().Load(t.Context()).Err())
	for _, want := range []string{"sluice.hcl:6:15", "image_policy.web", "image_automation.shop", "Nonsense"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
