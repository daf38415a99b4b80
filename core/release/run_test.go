package release

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, f func(t *testing.T, g *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

func TestInstallUpgradeAndQuiet(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.values(`{"colour": "red"}`)
		rep := g.expect("in_sync: install", "deployed")
		if diff := cmp.Diff([]string{"ChartFetched", "Installing", "Deployed", "Succeeded"}, g.phases); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(ChartInfo{Name: "ghost", Version: "1.0.0", AppVersion: "5.1", Digest: g.charts["1.0.0"].Digest, From: "https://charts.example.com"}, rep.Chart); diff != "" {
			t.Error(diff)
		}
		later(rep)
		rep = g.expect("in_sync:", "deployed")
		if len(g.phases) > 0 || rep.Changed() || rep.Reason != "Revision 1 is as declared." {
			t.Errorf("a quiet run says %v: %s", g.phases, rep.Reason)
		}
		g.values(`{"colour": "blue"}`)
		rep = g.expect("in_sync: upgrade", "superseded deployed")
		if r := rep.Steps[0].Reason; r != "Revision 1 was made before the values changed." {
			t.Error(r)
		}
		if diff := cmp.Diff([]string{"Upgrading", "Deployed", "Succeeded"}, g.phases); diff != "" {
			t.Error(diff)
		}
		g.publish("2.0.0", "second")
		g.spec.Chart.Version = "2.0.0"
		rep = g.expect("in_sync: upgrade", "superseded superseded deployed")
		if r := rep.Steps[0].Reason; r != "Revision 2 was made before the chart (ghost-1.0.0 to 2.0.0) changed." {
			t.Error(r)
		}
	})
}

// A quiet interval costs one listing for all releases and a comparison for each.
func TestQuietIntervalsAreCheap(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		later(g.run(t.Context()))
		clear(g.calls)
		for range 5 {
			later(g.run(t.Context()))
		}
		if diff := cmp.Diff(map[string]int{"List": 5, "Compare": 5}, g.calls); diff != "" {
			t.Error(diff)
		}
	})
}

// Who waits for a run sees what is.
func TestAsked(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.run(t.Context())
		clear(g.calls)
		g.run(t.Context())
		if diff := cmp.Diff(map[string]int{"Compare": 1}, g.calls); diff != "" {
			t.Error(diff)
		}
		g.host.Asked = true
		g.add(ghost, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}}) // by hand
		g.expect("in_sync: upgrade", "superseded superseded deployed")
		clear(g.calls)
		g.run(t.Context())
		if g.calls["Compare, fresh"] != 1 || g.calls["Status"] != 1 {
			t.Errorf("calls %v", g.calls)
		}
	})
}

// A lost record, and a runner without a directory of charts, cost no upgrade.
func TestLostRecord(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.values(`{"a": 1}`)
		later(g.run(t.Context()))
		g.rec = Record{}
		rep := g.expect("in_sync:", "deployed")
		if rep.Chart.Name != "ghost" || rep.Chart.AppVersion != "5" {
			t.Errorf("chart %+v", rep.Chart)
		}
		if g.rec.Ref != ghost || g.rec.Owner != mine {
			t.Errorf("record %+v", g.rec)
		}
	})
}

func TestFailedInstallIsUpgradedNotReinstalled(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy.Retries = 3
		g.values(`{"fail": 2}`)
		rep := g.expect("failed: install(the pod crashed) | the pod crashed", "failed")
		if !strings.HasPrefix(rep.Reason, "Revision 1 failed. Attempt 2 of 4 follows at ") || rep.Action != ActWait {
			t.Errorf("%s: %s", rep.Action, rep.Reason)
		}
		// Whoever runs it too early only looks.
		if rep := g.expect("failed: | Revision 1 failed. Attempt 2 of 4 follows at", "failed"); rep.Changed() || !strings.Contains(rep.Error, "It failed so: the pod crashed") {
			t.Error(rep.Error)
		}
		later(rep)
		rep = g.expect("failed: upgrade(the pod crashed)", "failed failed")
		later(rep)
		rep = g.expect("in_sync: upgrade", "failed failed deployed")
		if g.rec.Attempts != 0 || g.rec.Failures != 0 || g.calls["Uninstall"] > 0 {
			t.Errorf("attempts %d, failures %d, uninstalls %d", g.rec.Attempts, g.rec.Failures, g.calls["Uninstall"])
		}
		later(rep)
		g.expect("in_sync:", "failed failed deployed")
	})
}

// Waiting grows from a second to five minutes.
func TestBackOff(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy.Retries = -1
		g.values(`{"fail": 1000}`)
		var waits []time.Duration
		for range 15 {
			began := time.Now()
			rep := g.run(t.Context())
			waits = append(waits, rep.Again.Sub(began))
			later(rep)
		}
		for i, wait := range waits {
			full := min(time.Second<<i, 5*time.Minute)
			if wait > full || wait < full*8/10 {
				t.Errorf("wait %d is %s, want about %s", i, wait, full)
			}
		}
		if got := g.calls["Upgrade"]; got != 15 {
			t.Errorf("%d upgrades in 15 runs", got)
		}
	})
}

// What a clock that was ahead has written does not hold for years.
func TestClockThatWasAhead(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyRollback, RetryRolledBack: true}
		later(g.run(t.Context()))
		g.values(`{"fail": 2}`)
		g.expect("rolled_back: upgrade(the pod crashed) rollback |", "superseded failed deployed")
		g.rec.RolledBackAt = time.Now().AddDate(1, 0, 0)
		rep := g.run(t.Context())
		if wait := time.Until(rep.Again); wait != DefaultInterval {
			t.Errorf("rolled back, again in %s", wait)
		}
		g.rec = g.rec.Forgive()
		g.spec.Remedy = Remedy{Retries: 5}
		g.values(`{"fail": 1}`)
		g.run(t.Context())
		g.rec.RetryAt = time.Now().AddDate(1, 0, 0)
		if rep = g.run(t.Context()); rep.State != InSync {
			t.Error(summary(rep))
		}
	})
}

func TestRetriesEnd(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy.Retries = 1
		g.values(`{"fail": 100}`)
		later(g.expect("failed: install(the pod crashed)", "failed"))
		rep := g.expect("failed: upgrade(the pod crashed) | the pod crashed. Revision 2 failed after 2 attempts.", "failed failed")
		if rep.Unblock != "a change of its chart, values or options, or a request (sluice sync)" {
			t.Errorf("goes on by %q", rep.Unblock)
		}
		if !rep.Refused || !sdk.IsPermanent(rep.Err) || time.Until(rep.Again) != DefaultInterval {
			t.Errorf("refused %v, permanent %v, again in %s", rep.Refused, sdk.IsPermanent(rep.Err), time.Until(rep.Again))
		}
		for range 3 {
			later(rep)
			rep = g.expect("failed: | Revision 2 failed after 2 attempts. It stays as it is until its chart, values or options change, or on request (sluice sync). It failed so: the pod crashed", "failed failed")
		}
		g.rec = g.rec.Forgive() // somebody asks
		rep = g.expect("failed: upgrade(the pod crashed)", "failed failed failed")
		later(rep)
		g.values(`{"fail": 0}`)
		g.expect("in_sync: upgrade", "failed failed failed deployed")
	})
}

func TestRollback(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Retries: 1, Action: RemedyRollback}
		g.values(`{"a": 1}`)
		later(g.expect("in_sync: install", "deployed"))
		g.values(`{"a": 2, "fail": 100}`)
		later(g.expect("failed: upgrade(the pod crashed)", "deployed failed"))
		rep := g.expect("rolled_back: upgrade(the pod crashed) rollback | the pod crashed. What is declared failed and was rolled back.", "superseded failed failed deployed")
		if diff := cmp.Diff([]string{"Upgrading", "DeployFailed", "RollingBack", "RolledBack", "Failed"}, g.phases); diff != "" {
			t.Error(diff)
		}
		for range 3 {
			later(rep)
			rep = g.expect("rolled_back: | What is declared failed and was rolled back. It is tried again when its chart, values or options change, or on request (sluice sync). It failed so: the pod crashed", "superseded failed failed deployed")
		}
		kept := g.rec
		g.rec = Record{} // and without it
		rep = g.expect("rolled_back: |", "superseded failed failed deployed")
		g.rec = kept
		later(rep)
		g.values(`{"a": 3}`)
		rep = g.expect("in_sync: upgrade", "superseded failed failed superseded deployed")
		if want := "Revision 4 is the rollback to revision 1, as on_failure says, of what was declared before the values changed."; rep.Steps[0].Reason != want {
			t.Errorf("got  %s\nwant %s", rep.Steps[0].Reason, want)
		}
		if g.rec.GivenUp != "" || rep.Err != nil {
			t.Errorf("given up %q: %v", g.rec.GivenUp, rep.Err)
		}
	})
}

func TestRolledBackIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyRollback, RetryRolledBack: true, MaxRollbacks: 2}
		later(g.run(t.Context()))
		g.values(`{"fail": 100}`)
		rep := g.expect("rolled_back: upgrade(the pod crashed) rollback |", "superseded failed deployed")
		for i := range 2 {
			if wait := time.Until(rep.Again); wait != DefaultInterval {
				t.Errorf("again in %s", wait)
			}
			later(rep)
			rep = g.run(t.Context())
			if got := summary(rep); !strings.HasPrefix(got, "rolled_back: upgrade(the pod crashed) rollback") {
				t.Errorf("retry %d: %s", i, got)
			}
		}
		later(rep)
		if rep = g.run(t.Context()); rep.Changed() {
			t.Error(summary(rep))
		}
	})
}

func TestRollbackFails(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyRollback}
		later(g.run(t.Context()))
		g.values(`{"fail": 100, "norollback": true}`)
		rep := g.expect("failed: upgrade(the pod crashed) rollback(roll back to revision 1: cannot go back)", "deployed failed failed")
		later(rep)
		rep = g.expect("rolled_back: rollback", "superseded failed failed deployed") // what failed is a rollback now, which allows one
		later(rep)
		g.expect("rolled_back: |", "superseded failed failed deployed")
	})
}

func TestNothingToRollBackTo(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyRollback}
		g.values(`{"fail": 100}`)
		g.expect("failed: install(the pod crashed) | the pod crashed. Revision 1 failed after one attempt, and there is no earlier revision to roll back to.", "failed")
	})
}

func TestUninstalledAsRemedy(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyUninstall}
		g.values(`{"fail": 100}`)
		rep := g.expect("failed: install(the pod crashed) uninstall |", "")
		for range 2 { // no endless reinstalls
			later(rep)
			rep = g.expect("failed: | The release failed and was uninstalled", "")
		}
		g.values(`{}`)
		g.expect("in_sync: install", "deployed")
	})
}

// forgetful is a helm that forgets a release and then says that not all of it is
// gone, as Helm does.
type forgetful struct{ *world }

func (f forgetful) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	if err := f.world.Uninstall(ctx, u, emit); err != nil {
		return err
	}
	return errors.New("not gone within 5m0s: PersistentVolumeClaim/data")
}

// What is uninstalled as a remedy is not installed again, whatever Helm says of
// the end.
func TestUninstalledButNotAllOfIt(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		h := forgetful{g.world}
		g.host.Helm, g.host.Observer = h, NewObserver(h, ObserverOptions{})
		g.spec.Remedy = Remedy{Action: RemedyUninstall}
		g.values(`{"fail": 100}`)
		rep := g.expect("failed: install(the pod crashed) uninstall |", "")
		want := []string{"release demo/ghost is uninstalled, but not all of it: not gone within 5m0s: PersistentVolumeClaim/data"}
		if diff := cmp.Diff(want, rep.Warnings); diff != "" {
			t.Error(diff)
		}
		for range 5 {
			later(rep)
			rep = g.expect("failed: | The release failed and was uninstalled", "")
		}
		if removed, err := g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil); removed || err != nil {
			t.Errorf("removed again: %v, %v", removed, err)
		}
		g.values(`{}`)
		later(g.expect("in_sync: install", "deployed"))
		if removed, err := g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil); !removed || err != nil {
			t.Errorf("removed: %v, %v", removed, err)
		}
	})
}

// Nor if nobody can be asked whether it is gone.
func TestUninstalledUnheard(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		h := &cutOff{world: g.world}
		g.host.Helm, g.host.Observer = h, NewObserver(h, ObserverOptions{})
		g.spec.Remedy = Remedy{Action: RemedyUninstall}
		g.values(`{"fail": 100}`)
		rep := g.expect("unknown: install(the pod crashed) uninstall(uninstall release demo/ghost: the line was cut)", "")
		g.down = nil
		later(rep)
		g.expect("failed: | The release failed and was uninstalled", "")
	})
}

// cutOff is a helm that nobody hears of any more once it has uninstalled.
type cutOff struct{ *world }

func (c *cutOff) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	if err := c.world.Uninstall(ctx, u, emit); err != nil {
		return err
	}
	c.down = errors.New("the line was cut")
	return c.down
}

// A plugin that is killed leaves the release locked. It is freed at once if the
// operation was ours, and that it was interrupted is no failed attempt.
func TestKilled(t *testing.T) {
	t.Run("installing", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			g.values(`{"killed": 1}`)
			rep := g.expect("in_sync: install(the plugin was killed) unlock upgrade", "failed deployed")
			if rep.Err != nil {
				t.Error(rep.Err)
			}
		})
	})
	t.Run("upgrading, with the daemon", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			later(g.run(t.Context()))
			if err := g.runner.marks.set(g.host.Name, ghost); err != nil { // as it does before an operation
				t.Fatal(err)
			}
			g.add(ghost, "pending-upgrade", stored{Revision: helm.Revision{Owner: mine, Digest: "a.b.c", Chart: "ghost-1"}})
			g.expect("in_sync: unlock upgrade", "superseded failed deployed")
			if g.runner.marks.has(g.host.Name, ghost) {
				t.Error("the mark stays")
			}
		})
	})
	t.Run("rolling back", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			g.spec.Remedy = Remedy{Action: RemedyRollback}
			g.values(`{"a": 1}`)
			later(g.run(t.Context()))
			g.values(`{"a": 2, "fail": 100}`)
			g.killed = 1
			rep := g.expect("failed: upgrade(the pod crashed) rollback(roll back to revision 1: the plugin was killed) unlock", "deployed failed failed")
			if g.rec.Undone != 0 {
				t.Error("what was interrupted counts as failed")
			}
			later(rep)
			g.expect("rolled_back: rollback", "superseded failed failed deployed")
		})
	})
	t.Run("uninstalling", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			later(g.run(t.Context()))
			g.killed = 1
			if _, err := g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil); !errors.Is(err, errKilled) {
				t.Error(err)
			}
			if removed, err := g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil); !removed || err != nil {
				t.Error(removed, err)
			}
			if g.history() != "" {
				t.Error(g.history())
			}
		})
	})
	t.Run("uninstalling, and declared again", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			later(g.run(t.Context()))
			g.killed = 1
			_, _ = g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil)
			g.expect("in_sync: unlock upgrade", "failed deployed")
		})
	})
}

// What somebody else is at work on is left alone for as long as its timeout.
func TestLockedByOthers(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.add(ghost, "pending-upgrade", stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		rep := g.expect("locked:", "deployed pending-upgrade")
		if rep.Err != nil || rep.Action != ActWait || time.Until(rep.Again) != DefaultTimeout {
			t.Errorf("%v, %s, again in %s", rep.Err, rep.Action, time.Until(rep.Again))
		}
		later(rep)
		g.expect("in_sync: unlock upgrade", "superseded failed deployed")
	})
}

// A lock of a machine whose clock is days ahead holds for the timeout, too.
func TestLockedByAClockAhead(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		made := g.add(ghost, "pending-upgrade", stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		made.Updated = time.Now().Add(48 * time.Hour)
		began := time.Now()
		rep := g.expect("locked:", "deployed pending-upgrade")
		time.Sleep(time.Until(rep.Again) / 2)
		rep = g.expect("locked:", "deployed pending-upgrade")
		later(rep)
		g.expect("in_sync: unlock upgrade", "superseded failed deployed")
		if held := time.Since(began); held != DefaultTimeout {
			t.Errorf("held for %s", held)
		}
	})
}

// Another daemon that follows the same declaration is left to do its work, and
// what one left that died is freed after the timeout.
func TestLockedByAnotherDaemon(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		theirs := newRig(t)
		theirs.world, theirs.host = g.world, g.host
		theirs.host.Observer = NewObserver(g.world, ObserverOptions{})
		later(g.run(t.Context()))
		g.values(`{"hang": true}`)
		g.spec.Timeout = time.Hour
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan Report)
		go func() {
			rep, _ := g.runner.Run(ctx, g.spec, g.host, g.rec, nil)
			done <- rep
		}()
		time.Sleep(10 * time.Minute)
		theirs.spec = g.spec
		rep := theirs.expect("locked:", "deployed pending-upgrade")
		if rep.Action != ActWait || !strings.Contains(rep.Reason, "begun by another daemon, or by one that has lost its data directory") {
			t.Errorf("%s: %s", rep.Action, rep.Reason)
		}
		if wait := time.Until(rep.Again); wait != 50*time.Minute {
			t.Errorf("again in %s", wait)
		}
		if g.calls["Unlock"] > 0 {
			t.Error("what is at work was unlocked")
		}
		cancel()
		<-done

		later(theirs.run(t.Context()))
		g.add(ghost, "pending-upgrade", stored{Revision: helm.Revision{Owner: mine, Digest: "a.b.c", Chart: "ghost-1"}})
		theirs.values(`{}`)
		rep = theirs.run(t.Context())
		later(rep)
		if rep = theirs.run(t.Context()); rep.State != InSync || rep.Steps[0].Action != ActUnlock {
			t.Error(summary(rep))
		}
	})
}

// Whoever loses the race for the lock does not take it for its own.
func TestRefusedByALock(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.values(`{"a": 1}`)
		g.host.Helm = raced{g.world}
		g.expect("locked: upgrade(", "deployed pending-upgrade")
		if g.runner.marks.has(g.host.Name, ghost) {
			t.Error("another's operation is marked as ours")
		}
	})
}

// raced is a world where another daemon is a moment faster.
type raced struct{ *world }

func (r raced) Upgrade(ctx context.Context, rel helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	r.add(rel.Ref, "pending-upgrade", stored{Revision: helm.Revision{Owner: rel.Owner, Digest: rel.Digest, Chart: "ghost-1"}})
	return r.world.Upgrade(ctx, rel, emit)
}

func TestAdoption(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		install := func(owner string) {
			g.releases[ghost] = nil
			g.add(ghost, deployed, stored{Revision: helm.Revision{Owner: owner, Chart: "ghost-1"}})
			g.host.Observer.Changed(ghost)
			g.rec = Record{}
		}
		install("")
		rep := g.expect("unmanaged: | Release demo/ghost exists and nobody declares it", "deployed")
		if !rep.Refused || g.rec.Owner != "" {
			t.Errorf("refused %v, record of %q", rep.Refused, g.rec.Owner)
		}
		g.spec.Adopt = true
		g.expect("in_sync: adopt", "superseded deployed")

		install("release.other")
		g.expect("unmanaged: | Release demo/ghost belongs to the declaration of release.other, which goes on with it", "deployed")
		g.host.Declared = func(owner string) string { return owner + " (a.hcl:1)" }
		g.expect("unmanaged: | Release demo/ghost belongs to release.other (a.hcl:1), which goes on with it", "deployed")
		g.host.Declared = func(string) string { return "" }
		g.expect("in_sync: adopt", "superseded deployed")
	})
}

func TestMoved(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.spec.Ref = helm.ReleaseRef{Namespace: "demo", Name: "blog"}
		rep := g.expect("moved: | The release was demo/ghost before and is demo/blog now", "")
		if g.rec.Ref != ghost || !rep.Refused {
			t.Errorf("the record forgets %v", g.rec.Ref)
		}
		g.spec.OnMove = MoveReinstall
		g.values(`{"schema": true}`)
		g.expect("moved: move(", "")
		if g.live[ghost] == nil {
			t.Error("the old release went although the new one cannot be installed")
		}
		g.values(`{}`)
		g.expect("in_sync: move install", "deployed")
		if len(g.releases) != 1 || g.rec.Ref != g.spec.Ref {
			t.Errorf("releases %v, record of %v", g.releases, g.rec.Ref)
		}
	})
}

// Whoever is killed while a release moves leaves a record, from before the run,
// that knows both names.
func TestKilledWhileMoving(t *testing.T) {
	blog := helm.ReleaseRef{Namespace: "demo", Name: "blog"}
	killed := func(t *testing.T, g *rig) {
		t.Helper()
		later(g.run(t.Context()))
		g.spec.Ref, g.spec.OnMove = blog, MoveReinstall
		onDisk := g.rec.Begin(g.spec)
		g.values(`{"killed": 100}`)
		g.run(t.Context())
		if len(g.releases[ghost]) > 0 || len(g.releases[blog]) == 0 {
			t.Fatalf("it was not killed in the middle: %v", g.releases)
		}
		g.rec = throughJSON(t, onDisk)
	}
	t.Run("and the declaration goes", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			killed(t, g)
			if removed, err := g.runner.Remove(t.Context(), g.rec.Removal(), g.host, nil); !removed || err != nil {
				t.Errorf("removed %v, %v", removed, err)
			}
			if len(g.releases) > 0 {
				t.Errorf("left: %v", g.releases)
			}
		})
	})
	t.Run("and the declaration takes it back", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			killed(t, g)
			g.spec.Ref = ghost
			g.values(`{}`)
			g.expect("in_sync: move install", "deployed")
			if len(g.releases[blog]) > 0 || len(g.rec.Others) > 0 {
				t.Errorf("left: %v, known: %v", g.releases, g.rec.Others)
			}
		})
	})
	t.Run("and goes on", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			killed(t, g)
			g.values(`{}`)
			g.run(t.Context())
			if len(g.releases[ghost]) > 0 || g.newest(blog).Status != deployed || g.rec.Ref != blog || len(g.rec.Others) > 0 {
				t.Errorf("%v, record of %v and %v", g.releases, g.rec.Ref, g.rec.Others)
			}
		})
	})
}

// Two releases of one declaration are both known until one of them is gone.
func TestBothNamesAreThere(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.spec.Ref = helm.ReleaseRef{Namespace: "demo", Name: "blog"}
		g.add(g.spec.Ref, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		for range 3 {
			later(g.expect("moved: | The release was demo/ghost before and is demo/blog now", "deployed"))
		}
		if err := g.Uninstall(t.Context(), helm.Uninstall{Ref: ghost}, nil); err != nil {
			t.Fatal(err)
		}
		later(g.expect("in_sync: upgrade", "superseded deployed"))
		if g.rec.Ref != g.spec.Ref || len(g.rec.Others) > 0 {
			t.Errorf("record of %v and %v", g.rec.Ref, g.rec.Others)
		}
	})
}

// Without a record, an owner of the same name may be another daemon's: what is
// elsewhere stays, with a warning.
func TestWithoutARecordNothingHasMoved(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.OnMove = MoveReinstall
		later(g.run(t.Context()))
		g.spec.Ref = helm.ReleaseRef{Namespace: "demo", Name: "blog"}
		g.rec = Record{}.Begin(g.spec)
		if m := g.rec.Removal(); m.Ref != g.spec.Ref || m.Owner != mine {
			t.Errorf("%+v", m)
		}
		rep := g.expect("in_sync: install", "deployed")
		if len(g.releases[ghost]) != 1 || g.calls["Uninstall"] > 0 {
			t.Error("another's release was uninstalled")
		}
		if len(rep.Warnings) != 1 || !strings.Contains(rep.Warnings[0], "release demo/ghost belongs to a declaration of the same name") {
			t.Errorf("warnings %q", rep.Warnings)
		}
		later(rep)
		if rep = g.expect("in_sync:", "deployed"); len(rep.Warnings) > 0 {
			t.Errorf("warned again: %q", rep.Warnings)
		}
	})
}

// An owner of the same name elsewhere may be another operator's.
func TestWhatTheRecordDoesNotKnowHasNotMoved(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.OnMove = MoveReinstall
		later(g.run(t.Context()))
		others := helm.ReleaseRef{Namespace: "theirs", Name: "ghost"}
		g.add(others, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		g.expect("in_sync:", "deployed")
		if len(g.releases[others]) != 1 {
			t.Error("another's release was uninstalled")
		}
	})
}

func TestTests(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Test = &Test{}
		later(g.expect("in_sync: install test", "deployed"))
		if diff := cmp.Diff([]string{"ChartFetched", "Installing", "Deployed", "Testing", "Tested", "Succeeded"}, g.phases); diff != "" {
			t.Error(diff)
		}
		later(g.expect("in_sync:", "deployed"))
		g.rec = Record{}
		g.expect("in_sync:", "deployed") // Helm knows that they passed

		g.spec.Remedy = Remedy{Retries: 1, Action: RemedyRollback}
		g.values(`{"test": "fail"}`)
		later(g.expect("failed: upgrade test(the test pod failed) | the test pod failed", "superseded deployed"))
		rep := g.expect("rolled_back: test(the test pod failed) rollback |", "superseded superseded deployed")
		later(rep)
		g.expect("rolled_back: |", "superseded superseded deployed")

		g.values(`{"test": "silent"}`)
		later(g.expect("failed: upgrade test(the test did not end)", "superseded superseded superseded deployed"))
		g.expect("rolled_back: test(the test did not end) rollback", "superseded superseded superseded superseded deployed")

		g.spec.Test.IgnoreFailures = true
		g.values(`{"test": "fail", "a": 1}`)
		rep = g.run(t.Context())
		if rep.State != InSync || rep.Err != nil || len(rep.Warnings) != 1 {
			t.Errorf("%s, warnings %q", summary(rep), rep.Warnings)
		}
	})
}

// Revisions are numbered anew when a release is installed again: what came of
// the tests of an earlier one says nothing about it.
func TestTestsOfAnEarlierRelease(t *testing.T) {
	t.Run("failed and uninstalled, then mended", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			g.spec.Test, g.spec.Remedy = &Test{}, Remedy{Action: RemedyUninstall}
			g.values(`{"test": "fail"}`)
			later(g.expect("failed: install test(the test pod failed) uninstall |", ""))
			g.values(`{"a": 1}`)
			later(g.expect("in_sync: install test", "deployed"))
			g.expect("in_sync:", "deployed")
		})
	})
	t.Run("passed, then uninstalled by hand", func(t *testing.T) {
		bubble(t, func(t *testing.T, g *rig) {
			g.spec.Test = &Test{}
			rep := g.expect("in_sync: install test", "deployed")
			later(rep)
			if err := g.Uninstall(t.Context(), helm.Uninstall{Ref: ghost}, nil); err != nil {
				t.Fatal(err)
			}
			later(g.run(t.Context()))
			if g.calls["Test"] != 2 {
				t.Errorf("the tests ran %d times for two releases", g.calls["Test"])
			}
			g.values(`{"test": "fail"}`)
			g.expect("failed: upgrade test(the test pod failed) |", "superseded deployed")
		})
	})
}

func TestDrift(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.values(`{"a": 1, "b": 2, "stuck": "b"}`)
		later(g.run(t.Context()))
		g.live[ghost]["a"] = "changed"
		rep := g.expect("in_sync: correct", "deployed")
		if g.live[ghost]["a"] != "1" || rep.Steps[0].Reason != "ConfigMap demo/a is not as revision 1 says." || len(rep.Drift) != 0 {
			t.Errorf("%q: %s", g.live[ghost], rep.Steps[0].Reason)
		}
		later(rep)
		delete(g.live[ghost], "b")
		rep = g.expect("drifted: correct | not corrected: ConfigMap demo/b: the API server refuses it", "deployed")
		if len(rep.Drift) != 1 {
			t.Error(rep.Drift)
		}
		later(rep)
		g.spec.Drift.Mode = DriftWarn
		rep = g.expect("drifted:", "deployed")
		if rep.Err != nil || len(rep.Drift) != 1 || g.rec.Failures != 0 {
			t.Error(rep.Err, rep.Drift)
		}
		later(rep)
		g.spec.Drift.Mode = DriftOff
		clear(g.calls)
		rep = g.expect("in_sync:", "deployed")
		if len(rep.Drift) != 0 || g.calls["Compare"] != 0 {
			t.Error(rep.Drift, g.calls)
		}
	})
}

// A cancelled run is no failed attempt, and what it leaves, the next one mends.
func TestCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Remedy = Remedy{Action: RemedyUninstall}
		g.values(`{"hang": true}`)
		ctx, cancel := context.WithCancelCause(t.Context())
		stopping := errors.New("the daemon stops")
		time.AfterFunc(time.Minute, func() { cancel(stopping) })
		rep := g.run(ctx)
		if !errors.Is(rep.Err, stopping) || g.history() != "failed" || g.rec.Attempts != 0 {
			t.Errorf("%v, history %s, attempts %d", rep.Err, g.history(), g.rec.Attempts)
		}
		g.values(`{}`)
		g.expect("in_sync: upgrade", "failed deployed")
	})
}

// An operation that does not end is ended.
func TestOperationsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.spec.Timeout = time.Minute
		g.values(`{"hang": true}`)
		began := time.Now()
		rep := g.run(t.Context())
		if took := time.Since(began); took != 3*time.Minute {
			t.Errorf("took %s", took)
		}
		if !strings.Contains(rep.Error, "not done within 3m0s") || g.rec.Attempts != 1 {
			t.Errorf("%s, attempts %d", rep.Error, g.rec.Attempts)
		}
	})
}

func TestClusterDown(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.down = errors.New("connection refused")
		rep := g.expect("unknown: |", "deployed")
		if wait := time.Until(rep.Again); wait > time.Second {
			t.Errorf("again in %s", wait)
		}
		later(rep)
		rep = g.run(t.Context())
		later(rep)
		g.down = nil
		g.expect("in_sync:", "deployed")
	})
}

func TestSchemaErrorsHavePlaces(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.values(`{"schema": true}`)
		g.spec.Locate = func(p diag.Path) *diag.Range {
			return &diag.Range{File: "sluice.hcl", Start: diag.Pos{Line: 7, Column: 3}}
		}
		rep := g.expect("absent: install(sluice.hcl:7:3: values.schema: must not be true (values.schema.json of the chart)) | sluice.hcl:7:3: values.schema: must not be true (values.schema.json of the chart)", "")
		want := []Problem{{Severity: "error", Summary: "values.schema: must not be true (values.schema.json of the chart)", Path: "values.schema", File: "sluice.hcl", Line: 7, Column: 3}}
		if diff := cmp.Diff(want, rep.Problems); diff != "" {
			t.Error(diff)
		}
		if wait := time.Until(rep.Again); wait != DefaultInterval {
			t.Errorf("again in %s: it stays until something changes", wait)
		}
	})
}

func TestPlan(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		g.values(`{"a": 1}`)
		p, err := g.runner.Plan(t.Context(), g.spec, g.host, g.rec)
		if err != nil || p.Action != ActInstall || len(p.Changes) != 2 || p.Notes == "" || p.Chart.AppVersion != "5.1" {
			t.Errorf("%+v, %v", p, err)
		}
		if g.history() != "" {
			t.Error("a plan has changed something")
		}
		later(g.run(t.Context()))
		g.live[ghost]["a"] = "changed"
		p, err = g.runner.Plan(t.Context(), g.spec, g.host, g.rec)
		if err != nil || p.State != Drifted || len(p.Drift) != 1 || len(p.Changes) != 0 || g.live[ghost]["a"] != "changed" {
			t.Errorf("%+v, %v", p, err)
		}
		g.values(`{"a": 1, "schema": true}`)
		p, err = g.runner.Plan(t.Context(), g.spec, g.host, g.rec)
		if err != nil || p.Action != ActUpgrade || p.Error != "values.schema: must not be true (values.schema.json of the chart)" {
			t.Errorf("%+v, %v", p, err)
		}
		throughJSON(t, p)
		g.values(`{"a": 1, "b": 2, "new": 3, "refused": "new"}`)
		p, err = g.runner.Plan(t.Context(), g.spec, g.host, g.rec)
		if want := "the API server would refuse it: ConfigMap demo/new: data: must not be so"; err != nil || p.Action != ActUpgrade || p.Error != want || len(p.Changes) != 2 {
			t.Errorf("%+v, %v", p, err)
		}
		g.spec.Chart.Version = "3"
		if _, err := g.runner.Plan(t.Context(), g.spec, g.host, g.rec); err == nil || !strings.Contains(err.Error(), "no version 3") {
			t.Error(err)
		}
	})
}

func TestTemplate(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		var out strings.Builder
		if err := g.runner.Template(t.Context(), g.spec, g.host, &out); err != nil {
			t.Fatal(err)
		}
		const want = "---\ndata:\n  value: there\nkind: ConfigMap\nmetadata:\n  name: always\nnumber: 3\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRemove(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		remove := func(want bool) {
			t.Helper()
			removed, err := g.runner.Remove(t.Context(), Removal{Owner: mine, Ref: ghost}, g.host, nil)
			if err != nil || removed != want {
				t.Errorf("removed %v, %v", removed, err)
			}
		}
		remove(false)
		if removed, err := g.runner.Remove(t.Context(), Record{}.Removal(), g.host, nil); removed || err != nil {
			t.Error(removed, err) // of what never ran
		}
		later(g.run(t.Context()))
		remove(true)
		remove(false)
		g.add(ghost, deployed, stored{Revision: helm.Revision{Owner: "release.other", Chart: "ghost-1"}})
		remove(false)
		if g.history() != "deployed" {
			t.Error("another's release was removed")
		}
	})
}

// 200 releases at once: one listing, and each its own operation.
func TestManyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		results := make(chan string, 200)
		for i := range 200 {
			s := g.spec
			s.Ref.Name = fmt.Sprintf("r%d", i)
			s.Owner = OwnerOf("release." + s.Ref.Name)
			s.Values = secret.New(fmt.Sprintf(`{"a": %d}`, i))
			go func() {
				rep, _ := g.runner.Run(t.Context(), s, g.host, Record{}, nil)
				results <- summary(rep)
			}()
		}
		for range 200 {
			if got := <-results; got != "in_sync: install" {
				t.Error(got)
			}
		}
		if g.calls["List"] != 1 || g.calls["Pull"] != 1 || g.calls["Upgrade"] != 200 {
			t.Errorf("calls %v", g.calls)
		}
	})
}
