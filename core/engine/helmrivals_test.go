package engine

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	app  = "helmrelease.default/demo/app"
	evil = "helmrelease.default/guest/evil"
)

// appSpec declares the release demo/app, wherever the resource is.
func appSpec(value string) map[string]any {
	spec := webSpec(value)
	maps.Copy(spec, map[string]any{"releaseName": "app", "targetNamespace": "demo"})
	return spec
}

func TestRivalsMadeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(followingBlock)
		synctest.Wait()
		w.resources.apply("guest/evil", appSpec("evil"))
		expect(t, e, evil, Waiting, "for others that declare the same release")
		w.resources.apply("app", appSpec("app"))
		sleepFor(t, settleTime)
		expect(t, e, app, Ready, "")
		n := expect(t, e, evil, Failed, "release demo/app is declared by "+app+" (HelmRelease demo/app) as well")
		if n.Unblock != "the end of "+app {
			t.Errorf("unblock %q", n.Unblock)
		}
		sleepFor(t, time.Hour)
		w.wantCalls("install app")
		w.wantInstalled(`demo/app {"text":"app"}`)
		if got := w.resources.condition("guest/evil", "Released"); !strings.Contains(got, app) {
			t.Errorf("the resource says %q", got)
		}
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: evil, Kind: byhand.Uninstall, By: "mallory"}, nil); err == nil || !strings.Contains(err.Error(), app) {
			t.Errorf("an operation on another's release: %v", err)
		}
		w.wantCalls("")
	})
}

func TestWhoHasMadeTheReleaseGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("guest/evil", appSpec("first"))
		w.configure(followingBlock)
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, settleTime)
		expect(t, e, evil, Ready, "")
		w.resources.apply("app", appSpec("second"))
		expect(t, e, app, Failed, evil)
		w.stop(e)
		w.wantCalls("install app")

		if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
			t.Fatal(err)
		}
		e = w.start(followingBlock)
		sleepFor(t, time.Minute)
		expect(t, e, evil, Ready, "")
		expect(t, e, app, Failed, evil)
		w.wantCalls("")
		if got := w.resources.field("guest/evil", "phase"); got != "Succeeded" {
			t.Errorf("phase %v", got)
		}
		w.resources.remove("guest/evil", applier.Resource{})
		sleepFor(t, time.Second)
		expect(t, e, app, Ready, "")
		w.wantCalls("upgrade app") // it inherits
	})
}

func TestNobodyWorksOnAReleaseBesideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(followingBlock)
		w.resources.apply("guest/evil", appSpec("evil"))
		w.cluster.hanging("install app", true)
		sleepFor(t, settleTime)
		expect(t, e, evil, Running, "")
		w.resources.apply("app", appSpec("app"))
		expect(t, e, app, Blocked, evil+" is at work on the same release")
		w.wantCalls("install app")
		w.cluster.hanging("install app", false)
		w.resources.remove("guest/evil", applier.Resource{})
		sleepFor(t, time.Second)
		expect(t, e, app, Ready, "")
		w.wantInstalled(`demo/app {"text":"app"}`)
	})
}

func TestRivalsOfTwoHelmsOfOneCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("app", appSpec("resource"))
		both := `
source "memory" "shop" { url = "mem://shop" }
applier "kubernetes" "one" {}
applier "kubernetes" "two" {}
helm "helm" "two" { applier = applier.kubernetes.two }
`
		block := releaseBlock("app", "block", "applier = applier.kubernetes.one")
		e := w.start(both + block)
		sleepFor(t, time.Second)
		expect(t, e, "release.app", Ready, "")
		expect(t, e, "helmrelease.two/demo/app", Failed, "release.app")
		w.wantCalls("install app")
		w.reload(e, both+strings.Replace(block, `namespace = "demo"`, `namespace = "other"`, 1))
		expect(t, e, "helmrelease.two/demo/app", Failed, "") // the old one is the block's still
		w.reload(e, both+releaseBlock("app", "block", "applier = applier.kubernetes.one", `on_remove = "keep"`))
		w.reload(e, both)
		sleepFor(t, time.Second)
		expect(t, e, "helmrelease.two/demo/app", Ready, "")
	})
}

// stateOf is all that the engine has on disk.
func (w *world) stateOf() []byte {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "data", "state.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func TestQuietRunsWriteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.apply("web", webSpec("one"))
		e := w.start(followingBlock + releaseBlock("ghost", "one"))
		sleepFor(t, 10*time.Minute)
		expect(t, e, web, Ready, "")
		expect(t, e, "release.ghost", Ready, "")
		counts := func() (patches, told int, runs uint64) {
			e.mu.Lock()
			defer e.mu.Unlock()
			w.resources.mu.Lock()
			defer w.resources.mu.Unlock()
			return w.resources.patches, len(w.resources.events), e.nodes["release.ghost"].begun
		}
		disk := w.stateOf()
		patches, told, runs := counts()

		sleepFor(t, 6*time.Hour)
		patchesNow, toldNow, runsNow := counts()
		if runsNow < runs+50 {
			t.Fatal("it has not run")
		}
		if !bytes.Equal(disk, w.stateOf()) {
			t.Error("the state was written")
		}
		if patchesNow != patches || toldNow != told {
			t.Errorf("the resource was written %d times, and %d events were left", patchesNow-patches, toldNow-told)
		}
		w.reload(e, followingBlock+releaseBlock("ghost", "two"))
		if bytes.Equal(disk, w.stateOf()) {
			t.Error("nothing is ever written there")
		}
	})
}
