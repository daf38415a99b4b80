package engine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// resourceWorld is a chartWorld whose cluster has custom resources, and whose
// charts are in a git repository.
func resourceWorld(t *testing.T) *world {
	w := chartWorld(t)
	w.resources = newResourceStore()
	w.repo("https://git.example.com/charts").commit("charts/ghost/Chart=name: ghost\nversion: 1.0.0\n")
	return w
}

// webSpec declares a release of the chart with one value.
func webSpec(value string) map[string]any {
	return map[string]any{
		"chart":  map[string]any{"git": "https://git.example.com/charts", "ref": "main", "path": "charts/ghost"},
		"values": map[string]any{"text": value},
	}
}

// followingBlock has custom resources followed as well.
const followingBlock = chartSourceBlock + `helm "helm" "default" {}` + "\n"

const web = "helmrelease.default/demo/web"

func TestHelmThatNothingNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(followingBlock)
		expect(t, e, "helm.helm.default", Ready, "no release needs it")
		w.resources.apply("web", webSpec("one"))
		expect(t, e, web, Ready, "")
		expect(t, e, "helm.helm.default", Ready, "open")
	})
}

func TestResourceIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.wantInstalled(`demo/demo-web {"text":"one"}`)
		sleepFor(t, time.Second)
		if got := w.resources.field("web", "phase"); got != "Succeeded" {
			t.Errorf("phase %v", got)
		}
		w.resources.mu.Lock()
		if !slices.ContainsFunc(w.resources.events, func(ev applier.ResourceEvent) bool { return ev.Reason == "ReleaseSynced" }) {
			t.Errorf("events %+v", w.resources.events)
		}
		w.resources.mu.Unlock()
		w.helms2calls()

		w.resources.apply("web", webSpec("two"))
		expect(t, e, web, Ready, "")
		w.wantCalls("upgrade demo-web")

		w.resources.remove("web", applier.Resource{})
		synctest.Wait()
		w.wantInstalled("")
		if w.resources.exists("web") {
			t.Error("the finalizer still holds the resource")
		}
		if _, err := e.Node(web); err == nil {
			t.Error("the node is still there")
		}
		if slices.ContainsFunc(e.Status().Nodes, func(n Node) bool { return strings.HasPrefix(n.ID, "source.git.charts-") }) {
			t.Error("the source of the chart is still there")
		}
	})
}

// helms2calls forgets what was done.
func (w *world) helms2calls() { w.cluster.takeCalls() }

func TestResourceDeletedBesideItsRelease(t *testing.T) {
	for name, c := range map[string]struct {
		flags      applier.Resource
		annotation string
		want       string
	}{
		"with its definition":             {flags: applier.Resource{DefinitionDeleting: true}, want: `demo/demo-web {"text":"one"}`},
		"by somebody who wants the other": {annotation: "sluice.dev/on-remove=keep", want: `demo/demo-web {"text":"one"}`},
		"with its namespace":              {flags: applier.Resource{NamespaceDeleting: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := resourceWorld(t)
				var annotations []string
				if c.annotation != "" {
					annotations = []string{c.annotation}
				}
				w.resources.apply("web", webSpec("one"), annotations...)
				e := w.start(followingBlock)
				expect(t, e, web, Ready, "")
				w.resources.remove("web", c.flags)
				synctest.Wait()
				w.wantInstalled(c.want)
				if w.resources.exists("web") {
					t.Error("the finalizer still holds the resource")
				}
				if _, err := e.Node(web); err == nil {
					t.Error("the node is still there")
				}
			})
		})
	}
}

func TestNamespaceGoesThoughUninstallFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.cluster.failing("uninstall demo-web", errNoCluster)
		w.resources.remove("web", applier.Resource{NamespaceDeleting: true})
		synctest.Wait()
		if w.resources.exists("web") {
			t.Error("the namespace cannot go")
		}
	})
}

func TestResourceDeletedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("other", webSpec("one"))
		w.resources.apply("forced", webSpec("one"))
		w.configure(followingBlock)
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, web, Ready, "")
		expect(t, e, "helmrelease.default/demo/forced", Ready, "")
		w.stop(e)
		w.resources.remove("web", applier.Resource{})
		if !w.resources.exists("web") {
			t.Fatal("no finalizer held the resource")
		}
		w.resources.objects[helmReleaseRef("forced")].finalizers = nil
		w.resources.remove("forced", applier.Resource{})

		e = w.start(followingBlock)
		expect(t, e, "helmrelease.default/demo/other", Ready, "")
		// Whose finalizer was taken away is not taken for deleted.
		w.wantInstalled(`demo/demo-forced {"text":"one"}, demo/demo-other {"text":"one"}`)
		if got := eventReasons(t, e, "helmrelease.default/demo/forced"); !slices.Contains(got, eventRemoved) {
			t.Errorf("events %v", got)
		}
		if w.resources.exists("web") {
			t.Error("the finalizer still holds the resource")
		}
	})
}

func TestTwoDeclarationsOfOneRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(followingBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		spec := webSpec("two")
		spec["releaseName"], spec["targetNamespace"] = "ghost", "demo"
		w.resources.apply("web", spec)
		expect(t, e, web, Failed, "release.ghost")
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		w.resources.remove("web", applier.Resource{})
		synctest.Wait()
		if w.resources.exists("web") {
			t.Error("the finalizer still holds the resource")
		}
		w.wantInstalled(`demo/ghost {"text":"one"}`)
	})
}

func TestResourcesSurviveReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.helms2calls()
		w.reload(e, followingBlock+stayingBlock+releaseBlock("ghost", "one"))
		expect(t, e, web, Ready, "")
		w.wantCalls("install ghost")
		w.reload(e, chartSourceBlock+stayingBlock+`helm "helm" "mine" { resources = false }`)
		sleepFor(t, removalGrace)
		if _, err := e.Node(web); err == nil {
			t.Error("the node is still there, though nobody follows resources")
		}
		w.wantInstalled(`demo/demo-web {"text":"one"}`)
		w.reload(e, followingBlock)
		expect(t, e, web, Ready, "")
	})
}

func TestSuspendedAndDependentResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"), "sluice.dev/suspend=true")
		w.resources.apply("late", webSpec("one"), "sluice.dev/depends-on=demo/web")
		w.resources.apply("a", webSpec("one"), "sluice.dev/depends-on=demo/b")
		w.resources.apply("b", webSpec("one"), "sluice.dev/depends-on=demo/a")
		w.resources.apply("lonely", webSpec("one"), "sluice.dev/depends-on=demo/nobody")
		e := w.start(followingBlock)
		expect(t, e, web, Suspended, "")
		expect(t, e, "helmrelease.default/demo/late", Blocked, web+" has not been applied")
		expect(t, e, "helmrelease.default/demo/lonely", Blocked, "helmrelease.default/demo/nobody does not exist")
		expect(t, e, "helmrelease.default/demo/a", Failed, "circle")
		w.wantInstalled("")
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("b", webSpec("one"))
		w.resources.apply("nobody", webSpec("one"))
		expect(t, e, "helmrelease.default/demo/late", Ready, "")
		expect(t, e, "helmrelease.default/demo/a", Ready, "")
		expect(t, e, "helmrelease.default/demo/lonely", Ready, "")
	})
}

func TestChangedResourceEndsWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.cluster.hanging("install demo-web", true)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Running, "")
		w.cluster.hanging("install demo-web", false)
		w.resources.apply("web", webSpec("two"))
		expect(t, e, web, Ready, "")
		w.wantInstalled(`demo/demo-web {"text":"two"}`)
	})
}

func TestBadResourceSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", map[string]any{"chart": map[string]any{}})
		e := w.start(followingBlock)
		expect(t, e, web, Failed, "spec.chart")
		sleepFor(t, time.Second)
		if w.resources.field("web", "conditions") == nil {
			t.Error("the resource does not say what is wrong with it")
		}
	})
}

func TestDeclaredSourceServesChartsOfResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("more", webSpec("one"))
		w.repo("https://git.example.com/charts").fail(errNoCluster)
		e := w.start(followingBlock)
		sleepFor(t, settleTime) // until all resources were seen
		n := expect(t, e, web, Blocked, "source.git.charts-")
		shared := expect(t, e, "helmrelease.default/demo/more", Blocked, "source.git.charts-")
		if n.DependsOn[0] != shared.DependsOn[0] {
			t.Errorf("%v and %v do not share a source", n.DependsOn, shared.DependsOn)
		}
		w.repo("https://git.example.com/charts").fail(nil)
		sleepFor(t, time.Minute)
		expect(t, e, web, Ready, "")
	})
}

func TestResourceSaysWhatHoldsItBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("https://git.example.com/charts").fail(errNoCluster)
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("late", webSpec("one"), "sluice.dev/depends-on=demo/nobody")
		e := w.start(followingBlock)
		expect(t, e, web, Blocked, "git repository https://git.example.com/charts: ")
		sleepFor(t, time.Second)
		if got := w.resources.field("web", "phase"); got != "ChartFetchFailed" {
			t.Errorf("phase %v", got)
		}
		if got := w.resources.condition("web", "ChartFetched"); !strings.Contains(got, "False") || !strings.Contains(got, "https://git.example.com/charts: resolve: "+errNoCluster.Error()) {
			t.Errorf("ChartFetched is %s", got)
		}
		w.resources.wantWarning(t, "https://git.example.com/charts: resolve: "+errNoCluster.Error())

		w.repo("https://git.example.com/charts").fail(nil)
		sleepFor(t, time.Minute)
		expect(t, e, web, Ready, "")
		if got := w.resources.condition("web", "ChartFetched"); !strings.Contains(got, "True") {
			t.Errorf("ChartFetched is %s", got)
		}
		if got := w.resources.condition("late", "Released"); !strings.Contains(got, "Unknown") || !strings.Contains(got, "helmrelease.default/demo/nobody does not exist") {
			t.Errorf("Released is %s", got)
		}
		w.resources.wantWarning(t, "helmrelease.default/demo/nobody does not exist")

		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{web}, By: "eva", Reason: "three in the morning"}); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		if got := w.resources.condition("web", "Released"); !strings.Contains(got, "suspended by eva: three in the morning") {
			t.Errorf("Released is %s", got)
		}
	})
}

func TestResourceSaysThatItIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.cluster.hanging("uninstall demo-web", true)
		w.resources.remove("web", applier.Resource{})
		sleepFor(t, time.Second)
		if got := w.resources.condition("web", "Released"); !strings.Contains(got, "its release is being uninstalled") {
			t.Errorf("Released is %s", got)
		}
		w.stop(e)
		w.cluster.hanging("uninstall demo-web", false)
		w.cluster.failing("uninstall demo-web", errNoCluster)
		w.start(followingBlock)
		sleepFor(t, time.Second)
		w.resources.wantWarning(t, errNoCluster.Error())
		if got := w.resources.condition("web", "Released"); !strings.Contains(got, errNoCluster.Error()) {
			t.Errorf("Released is %s", got)
		}
	})
}

func TestSuspensionOutlivesTheData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.resources.apply("web", webSpec("two"))
		expect(t, e, web, Ready, "")
		op := byhand.Operation{Name: web, Kind: byhand.Rollback, By: "eva", Reason: "two is bad"}
		if _, err := e.HelmOperate(t.Context(), op, nil); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		w.stop(e)
		if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
			t.Fatal(err)
		}
		e = w.start(followingBlock)
		expect(t, e, web, Suspended, "suspended by eva: rollback by hand: two is bad")
		w.wantInstalled(`demo/demo-web {"text":"one"}`)

		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{web}, By: "eva"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, web, Ready, "")
		sleepFor(t, time.Second)
		if got := w.resources.field("web", "suspended"); got != nil {
			t.Errorf("the resource still says that it is suspended: %v", got)
		}
		w.wantInstalled(`demo/demo-web {"text":"two"}`)
	})
}

func TestReloadedHelmBlockCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.reload(e, chartSourceBlock+`helm "helm" "default" { uninstall_on_crd_delete = true }`)
		w.resources.remove("web", applier.Resource{DefinitionDeleting: true})
		synctest.Wait()
		w.wantInstalled("")
	})
}

func TestTwoAppliersOfOneCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		one := `
source "memory" "shop" { url = "mem://shop" }
applier "kubernetes" "one" {}
applier "kubernetes" "two" {}
helm "helm" "one" { applier = applier.kubernetes.one }
`
		two := `helm "helm" "two" { applier = applier.kubernetes.two }` + "\n"
		e := w.start(one + two)
		sleepFor(t, time.Second)
		w.wantCalls("install demo-web")
		var states []State
		for _, name := range []string{"one", "two"} {
			d, err := e.Node("helmrelease." + name + "/demo/web")
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, d.Node.State)
			if d.Node.State == Failed && !strings.Contains(d.Node.Reason, "are one cluster") {
				t.Errorf("%s", d.Node.Reason)
			}
		}
		if slices.Sort(states); !slices.Equal(states, []State{Failed, Ready}) {
			t.Fatalf("states %v", states)
		}
		if got := w.resources.field("web", "phase"); got != "Succeeded" {
			t.Errorf("phase %v", got)
		}
		w.reload(e, one)
		expect(t, e, "helmrelease.one/demo/web", Ready, "")
		w.wantCalls("")
		w.reload(e, one+two)
		w.resources.remove("web", applier.Resource{})
		sleepFor(t, time.Second)
		w.wantCalls("uninstall demo-web")
		if w.resources.exists("web") || slices.ContainsFunc(e.Status().Nodes, func(n Node) bool { return strings.HasPrefix(n.ID, "helmrelease.") }) {
			t.Error("it is not gone")
		}
	})
}

func TestWhoWasRefusedGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		spec := webSpec("one")
		spec["releaseName"] = "ghost"
		w.resources.apply("web", spec)
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		other := webSpec("two")
		other["releaseName"] = "ghost"
		w.resources.apply("other", other)
		expect(t, e, "helmrelease.default/demo/other", Failed, "helmrelease.default/demo/web")
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: web, Kind: byhand.Uninstall, By: "eva"}, nil); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "helmrelease.default/demo/other", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
	})
}

func TestResourcesThatNobodyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("mem://objects").commit(`web=apiVersion: helm.fluxcd.io/v1
kind: HelmRelease
metadata: {name: web, namespace: demo}
`)
		objects := `
source "memory" "objects" { url = "mem://objects" }
sync "objects" { source = source.memory.objects }
`
		e := w.start(objects)
		n := expect(t, e, "sync.objects", Ready, "")
		if len(n.Problems) != 1 || !strings.Contains(n.Problems[0].Summary, `1 HelmRelease is applied, but nothing here runs the releases: declare helm "helm" "default"`) {
			t.Errorf("problems %+v", n.Problems)
		}
		x, err := e.Why(t.Context(), "hr/web", "demo")
		if err != nil || !strings.Contains(strings.Join(x.Lines, "\n"), "nobody runs it: ") {
			t.Errorf("why: %+v %v", x, err)
		}
		sleepFor(t, time.Hour)
		if got := eventReasons(t, e, "sync.objects"); strings.Count(strings.Join(got, " "), eventUnfollowed) != 1 {
			t.Errorf("events %v", got)
		}
		w.reload(e, objects+`helm "helm" "default" {}`)
		if n := expect(t, e, "sync.objects", Ready, ""); len(n.Problems) != 0 {
			t.Errorf("problems %+v", n.Problems)
		}
	})
}

func TestFollowingGoesOnAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.broken = errNoCluster
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		synctest.Wait()
		if _, err := e.Node(web); err == nil {
			t.Fatal("a node of what cannot be seen")
		}
		w.resources.mu.Lock()
		w.resources.broken = nil
		w.resources.mu.Unlock()
		sleepFor(t, time.Minute)
		expect(t, e, web, Ready, "")
	})
}

func TestMirrorsStandInForRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("https://git.example.com/charts").fail(errNoCluster)
		w.repo("https://mirror.internal/charts").commit("charts/ghost/Chart=name: ghost\nversion: 1.0.0\n")
		w.repo("https://mirror.internal/objects").fail(errNoCluster)
		w.resources.apply("web", webSpec("one"))
		objects := `
source "memory" "objects" { url = "https://git.example.com/objects" }
sync "objects" { source = source.memory.objects }
`
		objects += `helm "helm" "default" {}` + "\n"
		e := w.start(objects)
		sleepFor(t, settleTime) // until all resources were seen
		expect(t, e, web, Blocked, "source.git.charts-")
		w.reload(e, objects+`mirror "https://git.example.com" { to = "https://mirror.internal" }`)
		expect(t, e, web, Ready, "")
		expect(t, e, "source.memory.objects", Failed, "https://mirror.internal/objects stands in for https://git.example.com/objects")
	})
}

func TestResourcesThatCannotBeSeenAreNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		w.configure(followingBlock)
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, web, Ready, "")
		w.stop(e)

		w.resources.forbidden = "no rights"
		e = w.start(followingBlock)
		n := expect(t, e, kube, Ready, "")
		w.wantInstalled(`demo/demo-web {"text":"one"}`)
		if len(n.Problems) != 1 || !strings.Contains(n.Problems[0].Summary, "no rights") {
			t.Errorf("problems %+v", n.Problems)
		}
	})
}

func TestNamespaceDeletedAfterItsResource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		w.cluster.failing("uninstall demo-web", errNoCluster)
		w.resources.remove("web", applier.Resource{})
		expect(t, e, web, Failed, "to be uninstalled (HelmRelease demo/web was deleted)")
		w.resources.remove("web", applier.Resource{NamespaceDeleting: true})
		synctest.Wait()
		if w.resources.exists("web") {
			t.Error("the namespace cannot go")
		}
	})
}

func TestReleaseOutlivesItsDeclaration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(followingBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.reload(e, followingBlock+releaseBlock("blog", "one", `name = "ghost"`))
		expect(t, e, "release.blog", Ready, "")
		if _, err := e.Node("release.ghost"); err == nil {
			t.Error("the old declaration still has a node")
		}

		spec := webSpec("one")
		spec["releaseName"] = "ghost"
		w.resources.apply("web", spec)
		expect(t, e, web, Failed, "release.blog")
		w.reload(e, followingBlock)
		expect(t, e, web, Ready, "")

		other := webSpec("one")
		other["releaseName"] = "ghost"
		w.resources.apply("other", other)
		w.resources.remove("web", applier.Resource{})
		expect(t, e, "helmrelease.default/demo/other", Ready, "")
		w.stop(e)

		w.resources.remove("other", applier.Resource{})
		e = w.start(followingBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		if w.resources.exists("other") {
			t.Error("the finalizer still holds the resource")
		}
		if calls := w.cluster.takeCalls(); strings.Contains(calls, "uninstall") {
			t.Errorf("helm did %s", calls)
		}
		w.wantInstalled(`demo/ghost {"text":"one"}`)
	})
}

// The repository of a chart is read through a declared source for as long as
// there is one, and through one of its own before and after that.
func TestSourcesOfChartsComeAndGo(t *testing.T) {
	const declared = `
source "git" "charts" {
  url    = "https://git.example.com/charts"
  branch = "main"
}
sync "charts" {
  source  = source.git.charts
  suspend = true
}
`
	const other = "helmrelease.default/demo/other"
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("other", webSpec("one"), "sluice.dev/depends-on=web")
		e := w.start(followingBlock)
		from := func(want string) {
			t.Helper()
			for _, id := range []string{web, other} {
				expect(t, e, id, Ready, "")
				n, err := e.Node(id)
				if err != nil {
					t.Fatal(err)
				}
				if source := n.Node.DependsOn[0]; !strings.HasPrefix(source, want) {
					t.Errorf("%s depends on %s, not on %s", id, source, want)
				}
			}
			charts := slices.ContainsFunc(e.Status().Nodes, func(n Node) bool { return strings.HasPrefix(n.ID, "source.git.charts-") })
			if charts != (want != "source.git.charts") {
				t.Errorf("a source of its own: %v", charts)
			}
		}
		from("source.git.charts-")
		w.reload(e, followingBlock+declared)
		synctest.Wait()
		from("source.git.charts")
		w.reload(e, followingBlock)
		synctest.Wait()
		from("source.git.charts-")
		sleepFor(t, time.Hour)
		w.repo("https://git.example.com/charts").commit("charts/ghost/Chart=name: ghost\nversion: 2.0.0\n")
		w.cluster.takeCalls()
		sleepFor(t, time.Hour)
		w.wantCalls("upgrade demo-web, upgrade demo-other")
	})
}

// A field that is misspelt means a release with other values than somebody
// thinks: who looks at it is told.
func TestMisspeltFieldsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		spec := webSpec("one")
		spec["vaules"] = map[string]any{"text": "two"}
		w.resources.apply("web", spec)
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		sleepFor(t, time.Second)
		d, err := e.HelmStatus(t.Context(), web)
		const want = "spec.vaules: there is no such field"
		if err != nil || len(d.Warnings) != 1 || !strings.HasPrefix(d.Warnings[0], want) {
			t.Errorf("status warns of %q, %v, want %s", d.Warnings, err, want)
		}
		w.resources.mu.Lock()
		defer w.resources.mu.Unlock()
		if !slices.ContainsFunc(w.resources.events, func(ev applier.ResourceEvent) bool {
			return ev.Warning && ev.Reason == "ReleaseSynced" && strings.Contains(ev.Message, want)
		}) {
			t.Errorf("events %+v", w.resources.events)
		}
	})
}

// TestSuspensionOutlivesOlderData: a volume that was restored, or was used on another
// machine before, does not know of a suspension that the status tells of: the newer
// one counts. What was resumed since is not suspended again.
func TestSuspensionOutlivesOlderData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		start := func() *Engine {
			w.configure(followingBlock)
			e := w.engine()
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return e
		}
		data, old := filepath.Join(w.dir, "data"), filepath.Join(w.dir, "old")
		w.resources.apply("web", webSpec("one"))
		e := start()
		expect(t, e, web, Ready, "")
		w.stop(e)
		if err := os.CopyFS(old, os.DirFS(data)); err != nil {
			t.Fatal(err)
		}

		e = start()
		w.resources.apply("web", webSpec("two"))
		expect(t, e, web, Ready, "")
		op := byhand.Operation{Name: web, Kind: byhand.Rollback, By: "eva", Reason: "two is bad"}
		if _, err := e.HelmOperate(t.Context(), op, nil); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Minute)
		w.stop(e)

		if err := errors.Join(os.RemoveAll(data), os.Rename(old, data)); err != nil {
			t.Fatal(err)
		}
		e = start()
		expect(t, e, web, Suspended, "suspended by eva: rollback by hand: two is bad")
		w.wantInstalled(`demo/demo-web {"text":"one"}`)

		before := w.resources.field("web", "suspended")
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{web}, By: "eva"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, web, Ready, "")
		w.stop(e)
		w.resources.mu.Lock() // as if the last write had been lost with the daemon
		w.resources.objects[helmReleaseRef("web")].status["suspended"] = before
		w.resources.mu.Unlock()
		e = start()
		expect(t, e, web, Ready, "")
		w.wantInstalled(`demo/demo-web {"text":"two"}`)
		w.stop(e)
	})
}
