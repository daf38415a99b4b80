package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestWhoLeavesHearsNoMoreOfAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.hanging("test ghost", true)
		ctx, leave := context.WithCancel(t.Context())
		told := make(chan release.Progress, 10)
		left := make(chan error, 1)
		go func() {
			_, err := e.HelmOperate(ctx, byhand.Operation{Name: "ghost", Kind: byhand.Test, By: "eva"}, func(p release.Progress) { told <- p })
			left <- err
		}()
		synctest.Wait()
		if len(told) != 2 {
			t.Fatalf("told %d steps, want 2", len(told))
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("it left with %v", err)
		}
		w.stop(e) // ends the tests, which say so
		if len(told) != 2 {
			t.Errorf("told %d steps after it had left", len(told)-2)
		}
	})
}

func TestOperationThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.failing("uninstall ghost", errNoCluster)
		op := byhand.Operation{Name: "ghost", Kind: byhand.Uninstall, By: "eva"}
		if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, errNoCluster) {
			t.Fatalf("%v", err)
		}
		// It is as it was: nothing is to be kept from being undone.
		expect(t, e, "release.ghost", Ready, "")
		want := []string{eventInstalled, eventSuspended, eventResumed, eventNotOperated}
		if got := eventReasons(t, e, "release.ghost"); !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}

		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"ghost"}, By: "adam", Reason: "holiday"}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, errNoCluster) {
			t.Fatalf("%v", err)
		}
		expect(t, e, "release.ghost", Suspended, "suspended by adam: holiday")

		w.cluster.leaving("uninstall ghost", "uninstalling")
		if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, errNoCluster) {
			t.Fatalf("%v", err)
		}
		expect(t, e, "release.ghost", Suspended, "suspended by eva: uninstall by hand")
	})
}

func TestStoppingEndsOperationsOfHelm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.cluster.hanging("install ghost", true)
		hcl := chartSourceBlock + releaseBlock("ghost", "one")
		e := w.start(hcl)
		expect(t, e, "release.ghost", Running, "")
		began := time.Now()
		w.stop(e)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("stopping took %s", took)
		}
		w.cluster.hanging("install ghost", false)
		e = w.start(hcl)
		expect(t, e, "release.ghost", Ready, "")
	})
}

// TestRehearsedRollback tells what would change, without what is secret in either
// revision, and changes nothing.
func TestRehearsedRollback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		key := applier.SecretRef{Namespace: "demo", Name: "hidden", Key: "values.yaml"}
		hide := func(text string) {
			if err := w.target(kube).WriteSecret(t.Context(), key, secret.New("password: "+text)); err != nil {
				t.Fatal(err)
			}
		}
		hide("hunter-before")
		block := func(text string) string { return releaseBlock("ghost", text, `values_from { secret = "hidden" }`) }
		e := w.start(chartSourceBlock + block("one"))
		expect(t, e, "release.ghost", Ready, "")
		hide("hunter-after")
		w.reload(e, chartSourceBlock+block("two"))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.takeCalls()
		op := byhand.Operation{Name: "ghost", Kind: byhand.Rollback, DryRun: true}
		for _, hcl := range []string{"", chartSourceBlock + releaseBlock("ghost", "three", `values_from { secret = "missing" }`)} {
			if hcl != "" { // what is secret is not known any more: then all is
				w.reload(e, hcl)
			}
			out, err := e.HelmOperate(t.Context(), op, nil)
			if err != nil || !out.DryRun || !strings.Contains(out.Done, "would roll back to revision 1") || len(out.Changes) != 1 {
				t.Fatalf("%+v %v", out, err)
			}
			if diff := out.Changes[0].Diff; strings.Contains(diff, "hunter") || hcl == "" && !strings.Contains(diff, `"text":"one"`) {
				t.Errorf("it would change\n%s", diff)
			}
		}
		w.wantCalls("")
		expect(t, e, "release.ghost", Failed, "missing")
	})
}

// TestOperationThatWaits: what waits for its turn ends with the daemon, and with
// whoever has asked for it.
func TestOperationThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		hcl := chartSourceBlock + releaseBlock("ghost", "one")
		e := w.start(hcl)
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.hanging("test ghost", true)
		ask := func(ctx context.Context, kind byhand.Kind) chan error {
			ended := make(chan error, 1)
			go func() {
				_, err := e.HelmOperate(ctx, byhand.Operation{Name: "ghost", Kind: kind, By: "eva"}, nil)
				ended <- err
			}()
			synctest.Wait()
			return ended
		}
		ask(t.Context(), byhand.Test)
		ctx, leave := context.WithCancel(t.Context())
		left := ask(ctx, byhand.Uninstall)
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("it left with %v", err)
		}
		waiting := ask(t.Context(), byhand.Rollback)
		w.stop(e)
		if err := <-waiting; !errors.Is(err, errStopping) {
			t.Errorf("the end of the daemon was told as %v", err)
		}
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: "ghost", Kind: byhand.Uninstall, By: "eva"}, nil); !errors.Is(err, refusal.ErrConflict) {
			t.Errorf("a daemon that has ended says %v", err)
		}
		w.wantInstalled(`demo/ghost {"text":"one"}`)

		w.cluster.hanging("test ghost", false)
		e = w.start(hcl)
		expect(t, e, "release.ghost", Ready, "")
		if got := eventReasons(t, e, "release.ghost"); slices.Contains(got, eventSuspended) {
			t.Errorf("events %v", got)
		}
	})
}

// TestForeignReleaseIsLeftAlone: a declaration that was refused a release does
// nothing to it by hand either.
func TestForeignReleaseIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		w.cluster.install("demo/ghost")
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Failed, "nobody declares it")
		for _, op := range []byhand.Operation{{Kind: byhand.Uninstall, DryRun: true}, {Kind: byhand.Uninstall}, {Kind: byhand.Rollback}, {Kind: byhand.Test}} {
			op.Name, op.By = "ghost", "eva"
			if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, refusal.ErrConflict) || !strings.Contains(err.Error(), "release demo/ghost is there, and nobody declares it") {
				t.Errorf("%s: %v", op.Kind, err)
			}
		}
		w.wantCalls("")
		expect(t, e, "release.ghost", Failed, "nobody declares it")
	})
}

// TestOperationOnFormerRelease does what the reason of a release that was moved
// tells people to do.
func TestOperationOnFormerRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.cluster.install("demo/important")
		spec := webSpec("one")
		spec["releaseName"] = "web"
		w.resources.apply("web", spec)
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		moved := webSpec("one")
		moved["releaseName"] = "important"
		w.resources.apply("web", moved)
		expect(t, e, web, Failed, "sluice helm uninstall demo/web")
		w.cluster.takeCalls()

		if d, err := e.HelmStatus(t.Context(), "demo/web"); err != nil || d.Name != "web" || d.Revision != 1 {
			t.Errorf("%+v %v", d.HelmRelease, err)
		}
		if h, err := e.HelmHistory(t.Context(), "demo/web"); err != nil || len(h) != 1 {
			t.Errorf("%+v %v", h, err)
		}
		op := byhand.Operation{Name: "demo/web", Kind: byhand.Uninstall, By: "eva", DryRun: true}
		if out, err := e.HelmOperate(t.Context(), op, nil); err != nil || out.Done != "would uninstall web from demo" {
			t.Errorf("%q %v", out.Done, err)
		}
		op.DryRun = false
		out, err := e.HelmOperate(t.Context(), op, nil)
		if err != nil || out.Done != "uninstalled web from demo" || out.Name != "web" || out.Revision != 0 {
			t.Errorf("%+v %v", out, err)
		}
		expect(t, e, web, Ready, "")
		w.wantCalls("uninstall web, upgrade important")
		w.wantInstalled(`demo/important {"text":"one"}`)

		op.Name = "demo/s99"
		if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, refusal.ErrNotFound) || !strings.Contains(err.Error(), `no release that is declared is called "demo/s99"`) {
			t.Errorf("%v", err)
		}
		op = byhand.Operation{Name: "important", Kind: byhand.Rollback, Revision: 77, By: "eva"}
		if _, err := e.HelmOperate(t.Context(), op, nil); !errors.Is(err, refusal.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if got := eventReasons(t, e, web); slices.Contains(got, eventSuspended) {
			t.Errorf("events %v", got)
		}
	})
}

// TestResourceSaysThatItWasUninstalled: a release that somebody has taken away by
// hand does not look well to those who look at its resource.
func TestResourceSaysThatItWasUninstalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock)
		expect(t, e, web, Ready, "")
		sleepFor(t, time.Minute)
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: web, Kind: byhand.Uninstall, By: "eva"}, nil); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Hour)
		for field, want := range map[string]any{"phase": nil, "state": "absent", "releaseStatus": "uninstalled", "helmRevision": nil} {
			if got := w.resources.field("web", field); got != want {
				t.Errorf("%s is %v, want %v", field, got, want)
			}
		}
		if got := w.resources.condition("web", "Deployed"); got != "False: It was uninstalled by hand." {
			t.Errorf("Deployed is %s", got)
		}
		if got := w.resources.condition("web", "Released"); got != "Unknown: suspended by eva: uninstall by hand" {
			t.Errorf("Released is %s", got)
		}
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{web}, By: "eva"}); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Minute)
		if got := w.resources.condition("web", "Deployed"); !strings.HasPrefix(got, "True") || w.resources.field("web", "phase") != "Succeeded" {
			t.Errorf("after it was resumed, Deployed is %s", got)
		}
	})
}
