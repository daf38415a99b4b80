package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		if len(told) != 1 {
			t.Fatalf("told %d steps, want 1", len(told))
		}
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("it left with %v", err)
		}
		w.stop(e) // ends the tests, which say so
		if len(told) != 1 {
			t.Errorf("told %d steps after it had left", len(told)-1)
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
