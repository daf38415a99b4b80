package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/release/byhand"
)

// targetsAre has the appliers say that their targets do not answer, or do if err is
// nil, and waits until that is known.
func (w *world) targetsAre(err error) {
	w.t.Helper()
	w.mu.Lock()
	w.away = err
	w.mu.Unlock()
	sleepFor(w.t, checkInterval+time.Second)
}

// TestTargetAway: what an applier knows of its target is the state of all that
// needs it, without a run of theirs and without a try; it is told once, and so is
// the end of it, when those go on that were held back.
func TestTargetAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const why = "the API server https://api.example.com does not answer since 2000-01-01T00:10:00Z: connection refused"
		w := chartWorld(t)
		w.repo("mem://objects").commit("first")
		w.repo("mem://quiet").commit("other")
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one") + `
source "memory" "objects" { url = "mem://objects" }
sync "busy" { source = source.memory.objects }
source "memory" "quiet" { url = "mem://quiet" }
sync "quiet" {
  source = source.memory.quiet
  interval = "24h"
}
`)
		for _, id := range []string{"applier.kubernetes.default", "helm.helm.default", "release.ghost", "sync.busy", "sync.quiet"} {
			expect(t, e, id, Ready, "")
		}
		w.cluster.takeCalls()

		w.targetsAre(errors.New(why))
		expect(t, e, "applier.kubernetes.default", Failed, why)
		for _, id := range []string{"helm.helm.default", "release.ghost", "sync.busy", "sync.quiet"} {
			n := expect(t, e, id, Blocked, "applier.kubernetes.default cannot be reached (")
			if !strings.Contains(n.Reason, why) {
				t.Errorf("%s does not say why: %s", id, n.Reason)
			}
		}
		w.repo("mem://objects").commit("first", "second")
		sleepFor(t, time.Hour)
		if _, err := e.HelmOperate(t.Context(), byhand.Operation{Name: "ghost", Kind: byhand.Rollback, By: "eva"}, nil); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("by hand: %v", err)
		}
		w.wantCalls("")
		if d, err := e.HelmStatus(t.Context(), "ghost"); err != nil || d.Revision != 1 || d.State != Blocked {
			t.Errorf("what is known of the release: %+v %v", d, err)
		}
		if _, err := e.HelmHistory(t.Context(), "ghost"); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("history: %v", err)
		}
		if got := w.target(kube).Names("busy"); !slices.Equal(got, []string{"first"}) {
			t.Errorf("applied: %v", got)
		}
		x, err := e.Why(t.Context(), "busy", "")
		if err != nil || !strings.Contains(strings.Join(x.Lines, "\n"), why) {
			t.Errorf("why: %q %v", x.Lines, err)
		}

		w.targetsAre(nil)
		for _, id := range []string{"applier.kubernetes.default", "helm.helm.default", "release.ghost", "sync.busy", "sync.quiet"} {
			expect(t, e, id, Ready, "")
		}
		if got := w.target(kube).Names("busy"); !slices.Contains(got, "second") {
			t.Errorf("what came meanwhile is not applied: %v", got)
		}
		var told []string
		for _, id := range []string{"applier.kubernetes.default", "release.ghost", "sync.busy", "sync.quiet"} {
			told = append(told, slices.DeleteFunc(eventReasons(t, e, id), func(reason string) bool { return reason == eventApplied || reason == eventInstalled })...)
		}
		if want := []string{eventUnreachable, eventReachable}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// TestFailureWhileAway: a run that fails since the target does not answer is no
// failure of its own, and is not tried again before there is an answer.
func TestFailureWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := chartWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		w.cluster.hanging("upgrade ghost", true)
		w.reload(e, chartSourceBlock+releaseBlock("ghost", "two"))
		expect(t, e, "release.ghost", Running, "")
		w.targetsAre(errNoCluster)
		expect(t, e, "release.ghost", Blocked, errNoCluster.Error())
		w.cluster.failing("upgrade ghost", errNoCluster)
		w.cluster.hanging("upgrade ghost", false)
		sleepFor(t, time.Hour)
		expect(t, e, "release.ghost", Blocked, errNoCluster.Error())
		if got := eventReasons(t, e, "release.ghost"); slices.Contains(got, eventFailed) {
			t.Errorf("events %v", got)
		}
		w.cluster.failing("upgrade ghost", nil)
		w.targetsAre(nil)
		sleepFor(t, 10*time.Minute)
		expect(t, e, "release.ghost", Ready, "")
		w.wantInstalled(`demo/ghost {"text":"two"}`)
	})
}
