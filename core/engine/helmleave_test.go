package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestSuspendedReleaseIsNotUninstalled: what a person holds stays when its block
// goes, across restarts, until that person says otherwise.
func TestSuspendedReleaseIsNotUninstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.configure(chartSourceBlock + stayingBlock + releaseBlock("ghost", "one"))
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.ghost", Ready, "")
		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"ghost"}, By: "ann", Reason: "incident"}); err != nil {
			t.Fatal(err)
		}
		w.reload(e, chartSourceBlock+stayingBlock)
		sleepFor(t, time.Hour)
		expect(t, e, "release.ghost", Suspended, "ann: incident; it is to be uninstalled then")
		if _, err := e.Sync(t.Context(), SyncRequest{Names: []string{"ghost"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		w.stop(e)

		e = w.start(chartSourceBlock + stayingBlock)
		sleepFor(t, time.Hour)
		expect(t, e, "release.ghost", Suspended, "ann: incident; it is to be uninstalled then")
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"ghost"}, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantInstalled("")
	})
}

// TestSuspendedByItsBlock: a block that says that nothing is done to its release
// takes that with it when it goes: the release stays.
func TestSuspendedByItsBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.reload(e, chartSourceBlock+releaseBlock("ghost", "one", "suspend = true"))
		expect(t, e, "release.ghost", Suspended, "")
		w.reload(e, chartSourceBlock)
		sleepFor(t, time.Hour)
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		if got := eventReasons(t, e, "release.ghost"); !slices.Contains(got, eventRemoved) {
			t.Errorf("events %v", got)
		}
	})
}

// TestSuspensionIsInherited: a block that is renamed does not end what a person
// holds.
func TestSuspensionIsInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.configure(chartSourceBlock + releaseBlock("ghost", "one"))
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.ghost", Ready, "")
		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"ghost"}, By: "ann", Reason: "incident"}); err != nil {
			t.Fatal(err)
		}
		w.reload(e, chartSourceBlock+releaseBlock("blog", "two", `name = "ghost"`))
		sleepFor(t, time.Hour)
		expect(t, e, "release.blog", Suspended, "ann: incident")
		w.wantInstalled(`demo/ghost {"text":"one"}`)
		w.stop(e)
		e = w.start(chartSourceBlock + releaseBlock("blog", "two", `name = "ghost"`))
		expect(t, e, "release.blog", Suspended, "ann: incident")
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"blog"}, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.blog", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
	})
}

// TestInheritedSuspensionEnds: what is inherited ends when it was to end.
func TestInheritedSuspensionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"ghost"}, By: "ann", Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		w.reload(e, chartSourceBlock+releaseBlock("blog", "two", `name = "ghost"`))
		expect(t, e, "release.blog", Suspended, "ann")
		sleepFor(t, 2*time.Hour)
		expect(t, e, "release.blog", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
	})
}

// TestPlanTellsOfRemovals plans a configuration without blocks that were there.
func TestPlanTellsOfRemovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.configure(chartSourceBlock + releaseBlock("ghost", "one") + releaseBlock("kept", "one", `on_remove = "keep"`))
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "release.ghost", Ready, "")
		expect(t, e, "release.kept", Ready, "")
		w.stop(e)

		w.configure(chartSourceBlock + releaseBlock("blog", "one"))
		e = w.engine()
		e.Load(t.Context())
		results, err := e.Plan(t.Context(), nil, nil)
		w.stop(e)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range results {
			if r.Release != nil {
				got = append(got, r.Node+" "+string(r.Release.Action))
			}
		}
		if want := []string{"release.blog install", "release.ghost uninstall"}; !slices.Equal(got, want) {
			t.Errorf("planned %q, want %q", got, want)
		}
		w.wantInstalled(`demo/ghost {"text":"one"}, demo/kept {"text":"one"}`)
	})
}

// TestDeletedResourceThatIsSuspended: a person's suspension has the deletion wait,
// the resource's own keeps the release.
func TestDeletedResourceThatIsSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		w.resources.apply("other", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		expect(t, e, "helmrelease.default/demo/other", Ready, "")
		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{web}, By: "ann", Reason: "incident"}); err != nil {
			t.Fatal(err)
		}
		w.resources.apply("other", webSpec("one"), "sluice.dev/suspend=true")
		synctest.Wait()
		w.resources.remove("web", applier.Resource{})
		w.resources.remove("other", applier.Resource{})
		sleepFor(t, time.Hour)
		if !w.resources.exists("web") || w.resources.exists("other") {
			t.Error("the one that a person holds is to wait, the other one to go")
		}
		w.wantInstalled(`demo/demo-other {"text":"one"}, demo/demo-web {"text":"one"}`)
		if n, err := e.Node(web); err != nil || !strings.Contains(n.Node.Reason, "ann: incident") {
			t.Errorf("%+v %v", n, err)
		}
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{web}, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.wantInstalled(`demo/demo-other {"text":"one"}`)
		if w.resources.exists("web") {
			t.Error("the finalizer still holds the resource")
		}
	})
}

// TestSameClusterConfiguredAnew: what was known of a release counts as long as the
// cluster is the same, whatever else is configured, or newer, by now.
func TestSameClusterConfiguredAnew(t *testing.T) {
	helmBlock := func(maxChart string) string {
		return fmt.Sprintf("helm \"helm\" \"default\" { max_chart = %q }\n", maxChart)
	}
	t.Run("a block that is gone when the next version starts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := chartWorld(t)
			w.configure(chartSourceBlock + stayingBlock + releaseBlock("ghost", "one"))
			e := w.engine()
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			expect(t, e, "release.ghost", Ready, "")
			w.stop(e)
			w.maxChart = "64MiB"
			w.start(chartSourceBlock + stayingBlock)
			sleepFor(t, removalGrace)
			w.wantInstalled("")
		})
	})
	t.Run("a name that changes with an argument", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := chartWorld(t)
			e := w.start(chartSourceBlock + helmBlock("2MiB") + releaseBlock("ghost", "one"))
			expect(t, e, "release.ghost", Ready, "")
			w.reload(e, chartSourceBlock+helmBlock("1MiB")+releaseBlock("ghost", "one", `name = "blog"`))
			sleepFor(t, time.Hour)
			expect(t, e, "release.ghost", Failed, "on_move")
			w.wantInstalled(`demo/ghost {"text":"one"}`)
		})
	})
	t.Run("another cluster", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := chartWorld(t)
			at := func(context string) string {
				return fmt.Sprintf("applier \"kubernetes\" \"default\" { context = %q }\n", context)
			}
			e := w.start(chartSourceBlock + at("one") + releaseBlock("ghost", "one"))
			expect(t, e, "release.ghost", Ready, "")
			w.reload(e, chartSourceBlock+at("two")+releaseBlock("ghost", "one", `name = "blog"`))
			expect(t, e, "release.ghost", Ready, "")
			w.wantInstalled(`demo/blog {"text":"one"}, demo/ghost {"text":"one"}`)
			if got := eventReasons(t, e, "release.ghost"); !slices.Contains(got, eventRemoved) {
				t.Errorf("events %v", got)
			}
		})
	})
}
