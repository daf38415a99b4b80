package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// chartWorld is a world with a helm, and a source with the chart of ghost.
func chartWorld(t *testing.T) *world {
	w := newWorld(t)
	w.helms, w.cluster = true, newHelmCluster()
	w.repo("mem://shop").commit("charts/ghost/Chart=name: ghost\nversion: 1.0.0\n")
	return w
}

const chartSourceBlock = `source "memory" "shop" { url = "mem://shop" }
sync "idle" {
  source = source.memory.shop
  paths = ["."]
  suspend = true
}
`

// releaseBlock declares a release with one value.
func releaseBlock(name, value string, more ...string) string {
	return fmt.Sprintf(`
release %q {
  chart {
    source = source.memory.shop
    path = "charts/ghost"
  }
  namespace = "demo"
  values = { text = %q }
  %s
}
`, name, value, strings.Join(more, "\n"))
}

// stayingBlock is one that stays when others go. Nothing is installed of it.
var stayingBlock = releaseBlock("staying", "", "suspend = true")

func (w *world) reload(e *Engine, hcl string) {
	w.t.Helper()
	w.configure(hcl)
	if st, err := e.Reload(w.t.Context()); err != nil || !st.OK {
		w.t.Fatalf("reload: %v %+v", err, st.Problems)
	}
	synctest.Wait()
}

func (w *world) wantInstalled(want string) {
	w.t.Helper()
	if got := w.cluster.names(); got != want {
		w.t.Errorf("installed: %s, want %s", got, want)
	}
}

func (w *world) wantCalls(want string) {
	w.t.Helper()
	if got := w.cluster.takeCalls(); got != want {
		w.t.Errorf("helm did %q, want %q", got, want)
	}
}

func TestReleaseFollowsItsBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		w.wantCalls("install ghost")

		w.reload(e, "# moved down\n"+chartSourceBlock+releaseBlock("ghost", "one"))
		w.wantCalls("")
		w.reload(e, chartSourceBlock+releaseBlock("ghost", "two"))
		expect(t, e, "release.ghost", Ready, "")
		w.wantCalls("upgrade ghost")

		w.repo("mem://shop").commit("charts/ghost/Chart=name: ghost\nversion: 2.0.0\n")
		if _, err := e.SyncAndWait(t.Context(), SyncRequest{Names: []string{"ghost"}}, nil); err != nil {
			t.Fatal(err)
		}
		w.wantCalls("upgrade ghost")
		sleepFor(t, time.Hour)
		w.wantCalls("")
		want := []string{eventInstalled, eventUpgraded, eventUpgraded}
		if got := eventReasons(t, e, "release.ghost"); !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
		if d, err := e.HelmStatus(t.Context(), "ghost"); err != nil || len(d.Report.Steps) == 0 {
			t.Errorf("it is forgotten what was done last: %+v %v", d.Report, err)
		}
	})
}

// removalGrace is how long a block must be gone for its release to be uninstalled.
const removalGrace = time.Minute

func TestRemovedBlockUninstalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + stayingBlock + releaseBlock("ghost", "one") + releaseBlock("kept", "one", `on_remove = "keep"`))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.failing("uninstall ghost", errNoCluster)
		w.reload(e, chartSourceBlock+stayingBlock)
		sleepFor(t, removalGrace)
		n := expect(t, e, "release.ghost", Failed, "its block is not in the configuration any more")
		if !strings.Contains(n.Reason, errNoCluster.Error()) {
			t.Errorf("the reason %q does not tell why", n.Reason)
		}
		if _, err := e.Node("release.kept"); err == nil {
			t.Error("the kept release still has a node")
		}
		w.cluster.failing("uninstall ghost", nil)
		sleepFor(t, time.Minute)
		w.wantInstalled(`demo/kept {"text":"one"}`)
		if _, err := e.Node("release.ghost"); err == nil {
			t.Error("the node of the uninstalled release is still there")
		}
		if got := eventReasons(t, e, "release.ghost"); !slices.Contains(got, eventUninstalled) {
			t.Errorf("events %v", got)
		}
	})
}

func TestLastBlockRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		src := `source "memory" "shop" { url = "mem://shop" }` + "\n"
		e := w.start(src + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.reload(e, src) // there is no applier, and no helm, any more
		sleepFor(t, time.Hour)
		expect(t, e, "release.ghost", Waiting, "for an approval: no release is left in the configuration")
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "ghost", By: "eva"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantInstalled("")
	})
}

// TestEmptyConfiguration: a file that was cut off uninstalls nothing, whether it
// is read while the daemon runs or when that starts, and the next whole one finds
// all as it was.
func TestEmptyConfiguration(t *testing.T) {
	all := chartSourceBlock + releaseBlock("ghost", "one") + releaseBlock("db", "one") + releaseBlock("web", "one")
	for what, cut := range map[string]string{"empty": "", "without releases": chartSourceBlock} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, running %t", what, running), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := chartWorld(t)
					w.configure(all)
					e := w.engine()
					if err := e.Start(t.Context()); err != nil {
						t.Fatal(err)
					}
					expect(t, e, "release.ghost", Ready, "")
					before := w.cluster.names()
					if !running {
						w.stop(e)
						w.configure(cut)
						e = w.engine()
						if err := e.Start(t.Context()); err != nil {
							t.Fatal(err)
						}
					} else {
						w.reload(e, cut)
					}
					sleepFor(t, time.Hour)
					w.wantInstalled(before)
					w.cluster.takeCalls()
					w.reload(e, all)
					sleepFor(t, time.Hour)
					for _, id := range []string{"release.ghost", "release.db", "release.web"} {
						expect(t, e, id, Ready, "")
					}
					w.wantCalls("")
					w.stop(e)
				})
			})
		}
	}
}

func TestBlockRemovedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.configure(chartSourceBlock + stayingBlock + releaseBlock("ghost", "one") + releaseBlock("kept", "one", `on_remove = "keep"`) + releaseBlock("never", "one", "suspend = true"))
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.ghost", Ready, "")
		w.stop(e)

		w.start(chartSourceBlock + stayingBlock)
		sleepFor(t, removalGrace)
		w.wantInstalled(`demo/kept {"text":"one"}`)
	})
}

func TestRemovedBlockComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + stayingBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.hanging("uninstall ghost", true)
		w.reload(e, chartSourceBlock+stayingBlock)
		sleepFor(t, removalGrace)
		expect(t, e, "release.ghost", Running, "")
		w.reload(e, chartSourceBlock+stayingBlock+releaseBlock("ghost", "two"))
		expect(t, e, "release.ghost", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
	})
}

func TestBlockThatIsAwayForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		hcl := chartSourceBlock + stayingBlock + releaseBlock("ghost", "one")
		e := w.start(hcl)
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.takeCalls()
		w.reload(e, chartSourceBlock+stayingBlock)
		sleepFor(t, removalGrace-time.Second)
		n := expect(t, e, "release.ghost", Waiting, "unless it is declared again")
		if n.NextAttempt.IsZero() {
			t.Error("it does not tell when it is uninstalled")
		}
		w.reload(e, hcl)
		sleepFor(t, time.Hour)
		expect(t, e, "release.ghost", Ready, "")
		w.wantCalls("")

		w.reload(e, chartSourceBlock+stayingBlock)
		if _, err := e.Sync(t.Context(), SyncRequest{Names: []string{"ghost"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantCalls("uninstall ghost") // who asks for it need not wait
	})
}

func TestManyRemovalsWaitForApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		var all string
		for _, name := range names(4) {
			all += releaseBlock(name, "x")
		}
		e := w.start(chartSourceBlock + all)
		expect(t, e, "release.c00", Ready, "")
		before := w.cluster.names()
		w.reload(e, chartSourceBlock)
		n := expect(t, e, "release.c03", Waiting, "for an approval: 4 of 4 releases")
		w.wantInstalled(before)
		if n.Approval == "" || n.Unblock != "sluice approve release.c03" {
			t.Errorf("approval %q, unblock %q", n.Approval, n.Unblock)
		}
		sleepFor(t, time.Hour)
		if got := eventsCalled(t, e, eventApproval); len(got) != 1 {
			t.Errorf("events %q, want one", got)
		}
		w.reload(e, chartSourceBlock+releaseBlock("c00", "x"))
		expect(t, e, "release.c00", Ready, "")
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "c01", By: "eva"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantInstalled(`demo/c00 {"text":"x"}`)
	})
}

func TestReleasesAndSyncsDependOnEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.target(kube).Reject("first", "not today")
		w.repo("mem://objects").commit("first")
		e := w.start(chartSourceBlock + `
source "memory" "objects" { url = "mem://objects" }
sync "first" { source = source.memory.objects }
` + releaseBlock("ghost", "one", "depends_on = [sync.first]") + `
sync "last" {
  source = source.memory.objects
  paths = ["."]
  adopt = true
  depends_on = [release.ghost]
}
`)
		expect(t, e, "release.ghost", Blocked, "sync.first has not been applied")
		expect(t, e, "sync.last", Blocked, "release.ghost has not been applied")
		w.wantCalls("")
		w.target(kube).Reject("first", "")
		sleepFor(t, 10*time.Minute)
		expect(t, e, "release.ghost", Ready, "")
		expect(t, e, "sync.last", Ready, "")
		x, err := e.Why(t.Context(), "demo/ghost", "")
		if err != nil || x.Node == nil || x.Node.ID != "release.ghost" {
			t.Errorf("why: %+v %v", x, err)
		}
	})
}

func TestOperationsByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.reload(e, chartSourceBlock+releaseBlock("ghost", "two"))
		w.cluster.takeCalls()

		out, err := e.HelmOperate(t.Context(), byhand.Operation{Name: "ghost", Kind: byhand.Rollback, By: "eva", Reason: "two is bad"}, func(release.Progress) {})
		if err != nil || !strings.Contains(out.Done, "revision 3") {
			t.Fatalf("%+v %v", out, err)
		}
		expect(t, e, "release.ghost", Suspended, "rollback by hand: two is bad")
		list, err := e.HelmReleases(t.Context(), HelmListRequest{})
		if err != nil || list.Releases[0].Revision != 3 || list.Releases[0].Release != release.OutOfSync {
			t.Errorf("%+v %v", list, err)
		}
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		sleepFor(t, time.Hour)
		w.wantCalls("rollback ghost")

		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"ghost"}, By: "eva"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.ghost", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: "demo/ghost", Kind: byhand.Uninstall, By: "eva"}, nil); err != nil {
			t.Fatal(err)
		}
		w.wantInstalled("")
		if r := e.HelmMetrics().Releases[0]; r.Revision != 0 || r.Release != release.Absent {
			t.Errorf("after it was uninstalled, %+v", r)
		}
		history, err := e.HelmHistory(t.Context(), "release.ghost")
		if err != nil || len(history) != 0 {
			t.Errorf("history %v %v", history, err)
		}
	})
}

func TestHelmReleasesAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		answer, err := e.HelmReleases(t.Context(), HelmListRequest{All: true})
		if err != nil || len(answer.Releases) != 1 || len(answer.Problems) != 0 {
			t.Fatalf("%+v %v", answer, err)
		}
		r := answer.Releases[0]
		if r.ID != "release.ghost" || r.State != Ready || r.Release != release.InSync || r.Revision != 1 || r.Status != "deployed" {
			t.Errorf("%+v", r)
		}
		d, err := e.HelmStatus(t.Context(), "ghost")
		if err != nil || d.Notes != "enjoy" || d.Report == nil || len(d.Report.Steps) == 0 {
			t.Errorf("%+v %v", d, err)
		}
		var out strings.Builder
		if err := e.HelmTemplate(t.Context(), "ghost", &out); err != nil || !strings.Contains(out.String(), "kind: ConfigMap") {
			t.Errorf("%s %v", out.String(), err)
		}
		if _, err := e.HelmStatus(t.Context(), "gohst"); err == nil || !strings.Contains(err.Error(), "ghost") {
			t.Errorf("a name that is not known: %v", err)
		}
		st := e.Status()
		if !slices.ContainsFunc(st.Nodes, func(n Node) bool { return n.ID == "helm.helm.default" }) {
			t.Error("the helm that is at work is not shown")
		}
	})
}

// TestChartOfWhatIsPending: a release is shown with the chart that is known of it,
// as Helm writes it, also before the files of the chart have been read.
func TestChartOfWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.cluster.releases[helm.ReleaseRef{Namespace: "demo", Name: "ghost"}] = []installed{{Revision: helm.Revision{
			Number: 1, Status: "pending-install", Chart: "ghost-1.0.0", Updated: time.Now(), Owner: "release.ghost", Digest: "c.v.o",
		}}}
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Waiting, "pending-install")
		answer, err := e.HelmReleases(t.Context(), HelmListRequest{})
		if err != nil || len(answer.Releases) != 1 || answer.Releases[0].Chart != "ghost-1.0.0" || answer.Releases[0].ChartVersion != "" {
			t.Errorf("%+v %v", answer.Releases, err)
		}
	})
}

func TestHelmThatNobodyNeedsStaysClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock)
		synctest.Wait()
		if w.opens["helm.helm.default"] != 0 {
			t.Error("the helm was opened")
		}
		if st := e.Status(); slices.ContainsFunc(st.Nodes, func(n Node) bool { return n.ID == "helm.helm.default" }) {
			t.Error("the helm is shown")
		}
	})
}

func TestReleaseWaitsForItsHelm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.breakOpen("helm.helm.default", errNoCluster)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Blocked, "helm.helm.default is not open (failed: open: the cluster does not answer)")
		w.breakOpen("helm.helm.default", nil)
		sleepFor(t, time.Minute)
		expect(t, e, "release.ghost", Ready, "")
	})
}

func TestStuckReleaseHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		var all string
		for _, name := range names(2 * helmSlots) {
			all += releaseBlock(name, "x")
			w.cluster.hanging("install "+name, true)
		}
		e := w.start(chartSourceBlock + all + releaseBlock("last", "x"))
		sleepFor(t, 3*helmPatience)
		expect(t, e, "release.last", Ready, "")
		expect(t, e, "release.c00", Running, "")
		stopping, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = e.Close(stopping) // it says that it had to cancel
		for _, name := range names(2 * helmSlots) {
			w.cluster.hanging("install "+name, false)
		}
		w.start(chartSourceBlock + all + releaseBlock("last", "x"))
		synctest.Wait()
		if got := strings.Count(w.cluster.names(), "demo/"); got != 2*helmSlots+1 {
			t.Errorf("%d releases, want %d", got, 2*helmSlots+1)
		}
	})
}

func TestPlanAndApplyReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.configure(chartSourceBlock + releaseBlock("ghost", "one"))
		e := w.engine()
		e.Load(t.Context())
		results, err := e.Plan(t.Context(), []string{"ghost"}, nil)
		if err != nil || len(results) != 1 || results[0].Release == nil || results[0].Release.Action != release.ActInstall {
			t.Fatalf("%+v %v", results, err)
		}
		w.stop(e)
		w.wantCalls("")

		e = w.engine()
		e.Load(t.Context())
		details, err := e.Apply(t.Context(), ApplyOptions{Names: []string{"ghost"}})
		if err != nil || len(details) != 1 || details[0].Node.State != Ready || details[0].Release == nil {
			t.Fatalf("%+v %v", details, err)
		}
		w.stop(e)
		w.wantInstalled(`demo/ghost {"text":"one"}`)
	})
}

func TestPlanShowsResourcesOfSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("mem://objects").commit(`web=apiVersion: helm.fluxcd.io/v1
kind: HelmRelease
metadata: {name: web}
spec:
  chart: {git: "https://git.example.com/charts", path: charts/ghost, ref: main}
  values: {text: planned}
`)
		w.configure(`source "memory" "objects" { url = "mem://objects" }
sync "objects" { source = source.memory.objects }
helm "helm" "default" {}`)
		e := w.engine()
		e.Load(t.Context())
		results, err := e.Plan(t.Context(), nil, nil)
		w.stop(e)
		if err != nil || len(results) != 2 || results[1].Node != "helmrelease.default/default/web" || results[1].Release == nil {
			t.Fatalf("%+v %v", results, err)
		}
	})
}

// TestListDoesNotContradictItself: what was found out about one revision is not
// said of another one that somebody has made since.
func TestListDoesNotContradictItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		ref := helm.ReleaseRef{Namespace: "demo", Name: "ghost"}
		made := w.cluster.releases[ref]
		by := func(change func(*helm.Revision)) []installed {
			again := made[0]
			change(&again.Revision)
			return append([]installed{again}, made...)
		}
		tests := map[string]struct {
			now   []installed
			state release.State
			want  string
		}{
			"as it was":     {made, release.InSync, "Revision 1 is as declared."},
			"upgraded":      {by(func(r *helm.Revision) { r.Number = 2 }), release.Unknown, "Revision 2 is deployed: that is not what the last look saw, which was revision 1, deployed."},
			"being changed": {by(func(r *helm.Revision) { r.Number, r.Status = 2, "pending-upgrade" }), release.Unknown, "Revision 2 is pending-upgrade"},
			"uninstalled":   {nil, release.Unknown, "It is not installed any more. The last look saw revision 1, deployed."},
			"kept history":  {by(func(r *helm.Revision) { r.Status = "uninstalled" }), release.Unknown, "It is not installed any more."},
		}
		for name, tt := range tests {
			w.cluster.mu.Lock()
			if w.cluster.releases[ref] = tt.now; tt.now == nil {
				delete(w.cluster.releases, ref)
			}
			w.cluster.mu.Unlock()
			sleepFor(t, 11*time.Second) // a listing is used for that long
			answer, err := e.HelmReleases(t.Context(), HelmListRequest{})
			if err != nil || len(answer.Releases) != 1 {
				t.Fatalf("%+v %v", answer, err)
			}
			d, err := e.HelmStatus(t.Context(), "ghost")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []HelmRelease{answer.Releases[0], d.HelmRelease} {
				if r.Release != tt.state || !strings.HasPrefix(r.Reason, tt.want) {
					t.Errorf("%s: it is %s: %s", name, r.Release, r.Reason)
				}
			}
		}
		w.cluster.mu.Lock()
		w.cluster.releases[ref] = by(func(r *helm.Revision) { r.Number, r.Digest = 2, "" })
		w.cluster.mu.Unlock()
		if _, err := e.SyncAndWait(t.Context(), SyncRequest{Names: []string{"ghost"}}, nil); err != nil {
			t.Fatal(err)
		}
		answer, err := e.HelmReleases(t.Context(), HelmListRequest{})
		if err != nil || answer.Releases[0].Release != release.InSync || answer.Releases[0].Revision != 3 {
			t.Errorf("after another look: %+v %v", answer, err)
		}
	})
}
