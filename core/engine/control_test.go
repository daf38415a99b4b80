package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// reload reads the configuration again and expects it to be good or not.
func reload(t *testing.T, e *Engine, good bool) ConfigStatus {
	t.Helper()
	st, err := e.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.OK != good {
		t.Fatalf("the configuration is good: %v, want %v: %v", st.OK, good, st.Problems)
	}
	return st
}

func TestSuspendAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		until := time.Now().Add(time.Hour)
		_, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"shop"}, By: "ann", Reason: "migration", Until: until})
		if err != nil {
			t.Fatal(err)
		}
		n := expect(t, e, "sync.shop", Suspended, "suspended by ann: migration")
		if n.Suspension == nil || n.Suspension.By != "ann" {
			t.Errorf("%+v", n.Suspension)
		}
		r.commit("a", "b")
		sleepFor(t, 30*time.Minute)
		expect(t, e, "sync.shop", Suspended, "")
		if diff := cmp.Diff([]string{"a"}, w.target(kube).Names("shop")); diff != "" {
			t.Errorf("applied while suspended: %s", diff)
		}
		sleepFor(t, 31*time.Minute)
		expect(t, e, "sync.shop", Ready, "2 objects")
	})
}

func TestSuspensionSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		if _, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"sync.shop"}, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		w.stop(e)
		e = w.start(shop)
		if d, err := e.Node("shop"); err != nil || d.Node.State != Suspended {
			t.Errorf("right after the start: %+v, %v", d.Node, err)
		}
		expect(t, e, "sync.shop", Suspended, "ann")
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"shop"}, By: "bob"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Ready, "")
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"shop"}, By: "bob"}); !errors.Is(err, refusal.ErrConflict) {
			t.Errorf("a second resume: %v", err)
		}
	})
}

func TestApprovalSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(30)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://shop").commit(names(3)...)
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Waiting, "")
		w.stop(e)
		e = w.start(shop)
		n := expect(t, e, "sync.shop", Waiting, "")
		w.target(kube).Down(errors.New("down"))
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", Digest: n.Approval, By: "ann"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Failed, "down")
		w.stop(e)
		w.target(kube).Down(nil)
		e = w.start(shop)
		expect(t, e, "sync.shop", Ready, "3 objects")
		if got := len(w.target(kube).Names("shop")); got != 3 {
			t.Errorf("%d objects are left", got)
		}
	})
}

func TestRestartWithoutTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.stop(e)
		r.fail(errors.New("connection refused"))
		e = w.start(shop)
		expect(t, e, "source.memory.shop", Failed, "connection refused")
		n := expect(t, e, "sync.shop", Ready, "1 object")
		if n.Revision != "rev1" || r.fetches != 1 {
			t.Errorf("revision %q, %d fetches", n.Revision, r.fetches)
		}
	})
}

func TestReloadKeepsTheLastGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.configure(`source "memory" "shop" {`)
		st := reload(t, e, false)
		if len(st.Problems) == 0 || !strings.Contains(st.Problems[0].File, "sluice.hcl") || st.Problems[0].Line == 0 {
			t.Errorf("problems: %+v", st.Problems)
		}
		if c := e.Status().Config; c == nil || c.OK || len(c.Problems) == 0 {
			t.Errorf("the status does not tell: %+v", c)
		}
		w.repo("mem://shop").commit("a", "b")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "2 objects")
		if !slices.Contains(eventReasons(t, e, ""), eventBadConfig) {
			t.Error("no event tells of the bad configuration")
		}
		w.configure(shop)
		reload(t, e, true)
		if c := e.Status().Config; c != nil {
			t.Errorf("the status still tells of %+v", c)
		}
	})
}

func TestRunTakesUpChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.configure(shop)
		w.repo("mem://shop").commit("a")
		w.repo("mem://moved").commit("a", "b")
		e := w.engine()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		sleepFor(t, time.Second)
		expect(t, e, "sync.shop", Ready, "1 object")
		w.configure(strings.ReplaceAll(shop, "mem://shop", "mem://moved"))
		sleepFor(t, 5*time.Second)
		expect(t, e, "sync.shop", Ready, "2 objects")
		w.configure("sync {")
		sleepFor(t, 5*time.Second)
		if st := e.ConfigStatus(); st.OK {
			t.Error("a broken file was not noticed")
		}
		expect(t, e, "sync.shop", Ready, "2 objects")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a clean stop: %v", err)
		}
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("a second close: %v", err)
		}
	})
}

func TestRunRefusesABadConfiguration(t *testing.T) {
	w := newWorld(t)
	w.configure(`sync "shop" { source = source.memory.nope }`)
	err := w.engine().Run(t.Context())
	if l, ok := diag.From(err); !ok || l[0].Subject == nil || l[0].Subject.Start.Line != 1 {
		t.Errorf("error %v", err)
	}
}

func TestSuspendByConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a")
		stopped := strings.NewReplacer(`"mem://shop"`, "\"mem://shop\"\n suspend = true\n", "{ url", "{\n url").Replace(shop)
		e := w.start(stopped)
		n := expect(t, e, "source.memory.shop", Suspended, "suspend = true")
		if !n.Suspension.Config || r.resolves != 0 {
			t.Errorf("%+v, %d resolves", n.Suspension, r.resolves)
		}
		expect(t, e, "sync.shop", Blocked, "source.memory.shop")
		if _, err := e.Resume(t.Context(), ResumeRequest{Names: []string{"source.memory.shop"}}); !errors.Is(err, refusal.ErrConflict) {
			t.Errorf("resume of what the configuration suspends: %v", err)
		}
		w.configure(shop)
		reload(t, e, true)
		expect(t, e, "sync.shop", Ready, "")
	})
}

func TestStopLetsAnApplyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		release := w.target(kube).Hold()
		e := w.start(shop)
		expect(t, e, "sync.shop", Running, "rolling out")
		ended := make(chan error, 1)
		go func() { ended <- e.Close(context.Background()) }()
		synctest.Wait()
		release()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a"}, w.target(kube).Names("shop")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestReloadReusesWhatHasNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("a")
		w.repo("mem://two").commit("b")
		e := w.start(chain)
		expect(t, e, "sync.shop", Ready, "")
		w.configure("# a comment that moves every line\n" + strings.ReplaceAll(chain, "mem://two", "mem://three"))
		w.repo("mem://three").commit("b", "c")
		reload(t, e, true)
		expect(t, e, "sync.shop", Ready, "2 objects")
		w.mu.Lock()
		defer w.mu.Unlock()
		want := map[string]int{"source.memory.one": 1, "source.memory.two": 2, kube: 1}
		if diff := cmp.Diff(want, w.opens); diff != "" {
			t.Errorf("opened: %s", diff)
		}
		if w.open != 3 {
			t.Errorf("%d instances are open, want 3", w.open)
		}
	})
}

func TestReloadAddsAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("a")
		w.repo("mem://two").commit("b")
		e := w.start(chain)
		expect(t, e, "sync.shop", Ready, "")
		w.configure(`
source "memory" "one" { url = "mem://one" }
sync "platform" { source = source.memory.one }
sync "late" {
  source     = source.memory.one
  paths      = ["nothing-here"]
  depends_on = [sync.platform]
}
`)
		reload(t, e, true)
		if _, err := e.Node("shop"); !errors.Is(err, refusal.ErrNotFound) {
			t.Errorf("a removed sync: %v", err)
		}
		if diff := cmp.Diff([]string{"b"}, w.target(kube).Names("shop")); diff != "" {
			t.Errorf("objects of a removed sync: %s", diff)
		}
		if !slices.Contains(eventReasons(t, e, "sync.shop"), eventRemoved) {
			t.Error("no event tells of the removal")
		}
		synctest.Wait()
		d, err := e.Node("late")
		if err != nil || d.Node.State == Waiting {
			t.Errorf("the new sync has not run: %+v, %v", d.Node, err)
		}
	})
}

func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.start(shop)
		synctest.Wait()
		other := w.engine()
		defer w.closeOther(other)
		if diags := other.Load(t.Context()); diags.HasErrors() {
			t.Fatal(diags.Err())
		}
		if _, err := other.Apply(t.Context(), ApplyOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a second apply: %v", err)
		}
	})
}

func (w *world) closeOther(e *Engine) {
	if err := e.Close(w.t.Context()); err != nil {
		w.t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		left := filepath.Join(w.dir, "data", "work", "left")
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what a killed daemon has left is still there: %v", err)
		}
	})
}

func TestSyncAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("a")
		w.repo("mem://two").commit("b")
		e := w.start(chain)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://one").commit("a", "a2")
		w.repo("mem://two").commit("b", "b2")
		var steps []string
		details, err := e.SyncAndWait(t.Context(), SyncRequest{}, func(p Progress) { steps = append(steps, p.Node+" "+string(p.Step)) })
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range details {
			if d.Node.State != Ready || d.Node.Revision != "rev2" || d.Report.Counts.Created != 1 {
				t.Errorf("%+v", d.Node)
			}
		}
		if !slices.Contains(steps, "sync.shop done") || !slices.Contains(steps, "source.memory.one resolve") {
			t.Errorf("progress: %v", steps)
		}

		w.repo("mem://two").fail(errors.New("connection refused"))
		details, err = e.SyncAndWait(t.Context(), SyncRequest{Names: []string{"shop"}}, nil)
		if err != nil || details[0].Node.State != Failed || !strings.Contains(details[0].Node.Reason, "connection refused") {
			t.Errorf("with a source that fails: %+v, %v", details, err)
		}
		_, err = e.SyncAndWait(t.Context(), SyncRequest{Names: []string{"shpo"}}, nil)
		if !errors.Is(err, refusal.ErrNotFound) || !strings.Contains(err.Error(), `did you mean "sync.shop"?`) {
			t.Errorf("a misspelled name: %v", err)
		}
	})
}

func TestOneShot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.configure(chain)
		w.repo("mem://one").commit("a")
		w.repo("mem://two").commit(names(30)...)
		once := func(f func(e *Engine)) {
			e := w.engine()
			if diags := e.Load(t.Context()); diags.HasErrors() {
				t.Fatal(diags.Err())
			}
			f(e)
			w.stop(e)
		}
		once(func(e *Engine) {
			plans, err := e.Plan(t.Context(), nil, nil)
			if err != nil || len(plans) != 2 || plans[1].Error != "" || !plans[1].Plan.Changes() {
				t.Fatalf("%+v, %v", plans, err)
			}
			if w.target(kube).Calls("Apply") != 0 {
				t.Error("a plan has applied")
			}
		})
		once(func(e *Engine) {
			details, err := e.Apply(t.Context(), ApplyOptions{Names: []string{"shop"}})
			if err != nil || len(details) != 2 {
				t.Fatalf("%+v, %v", details, err)
			}
			for _, d := range details {
				if d.Node.State != Ready {
					t.Errorf("%s is %s: %s", d.Node.ID, d.Node.State, d.Node.Reason)
				}
			}
		})
		w.repo("mem://two").commit("c00")
		once(func(e *Engine) {
			details, err := e.Apply(t.Context(), ApplyOptions{})
			if err != nil || details[1].Node.Approval == "" || len(w.target(kube).Names("shop")) != 30 {
				t.Fatalf("%+v, %v", details, err)
			}
		})
		once(func(e *Engine) {
			details, err := e.Apply(t.Context(), ApplyOptions{Approve: []string{"all"}})
			if err != nil || details[1].Node.State != Ready || len(w.target(kube).Names("shop")) != 1 {
				t.Fatalf("%+v, %v", details, err)
			}
		})
		w.repo("mem://one").fail(errors.New("connection refused"))
		once(func(e *Engine) {
			plans, err := e.Plan(t.Context(), nil, nil)
			if err != nil || !strings.Contains(plans[0].Error, "connection refused") || plans[1].Error != "" {
				t.Errorf("%+v, %v", plans, err)
			}
		})
	})
}

func TestWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("ns")
		w.repo("mem://two").commit("web")
		w.target(kube).Reject("ns", "quota exceeded")
		e := w.start(chain)
		synctest.Wait()
		tests := []struct{ target, want string }{
			{"shop", "sync.platform has not been applied"},
			{"shop", "quota exceeded"},
			{"sync.platform", "ns.yaml:1"},
			{"configmap/ns", "belongs to sync.platform, from ns.yaml:1"},
			{"cm/ns", "error: ns.yaml:1: quota exceeded"},
			{"source.memory.one", "is ready since"},
		}
		for _, tt := range tests {
			x, err := e.Why(t.Context(), tt.target, "")
			if err != nil {
				t.Errorf("%s: %v", tt.target, err)
				continue
			}
			if text := strings.Join(x.Lines, "\n"); !strings.Contains(text, tt.want) {
				t.Errorf("%s: want %q in:\n%s", tt.target, tt.want, text)
			}
		}
		for target, want := range map[string]error{"cm/other": refusal.ErrNotFound, "other": refusal.ErrNotFound, "a/b/c": refusal.ErrInvalid} {
			if _, err := e.Why(t.Context(), target, ""); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", target, err, want)
			}
		}
	})
}

func TestSyncAndWaitEndsWithTheFirstRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(`
source "memory" "shop" { url = "mem://shop" }
sync "shop" {
  source = source.memory.shop
  wait { timeout = "60s" }
}
`)
		expect(t, e, "sync.shop", Ready, "")
		w.target(kube).Fresh(applier.InProgress)
		w.repo("mem://shop").commit("a", "b")
		type answer struct {
			details []Detail
			err     error
		}
		answers := make(chan answer, 1)
		began := time.Now()
		go func() {
			details, err := e.SyncAndWait(t.Context(), SyncRequest{Names: []string{"shop"}}, nil)
			answers <- answer{details, err}
		}()
		sleepFor(t, 10*time.Second)
		e.trigger("sync.shop", sched.Interval) // it will begin as soon as this run has failed
		a := <-answers
		if took := time.Since(began); took > 61*time.Second {
			t.Errorf("took %s", took)
		}
		if a.err != nil || a.details[0].Node.State != Failed || !strings.Contains(a.details[0].Node.Reason, "not ready after 1m0s") {
			t.Errorf("%+v, %v", a.details, a.err)
		}
	})
}

func TestReloadOfWhatOnlyARestartTakesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.configure(`sluice { log_level = "debug" }` + shop)
		e := w.engine()
		e.opts.LogLevel = &slog.LevelVar{}
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.stop(e) })
		if got := e.opts.LogLevel.Level(); got != slog.LevelDebug {
			t.Errorf("level %s at the start", got)
		}
		before := e.Listen()
		w.configure("sluice {\n api { listen = \"unix:///elsewhere.sock\" }\n log_level = \"warn\"\n}" + shop)
		st := reload(t, e, true)
		if len(st.Problems) != 1 || st.Problems[0].Severity != "warning" || !strings.Contains(st.Problems[0].Detail, "listens on "+before) {
			t.Errorf("problems %+v", st.Problems)
		}
		if got := e.opts.LogLevel.Level(); got != slog.LevelWarn {
			t.Errorf("level %s after the reload", got)
		}
	})
}

func TestTreesRemovedByHandAreFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "1 object")
		if err := exec.Command("rm", "-rf", filepath.Join(w.dir, "data", "trees")).Run(); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, 2*time.Minute)
		if n := w.repo("mem://shop").fetches; n != 2 {
			t.Errorf("%d fetches", n)
		}
		expect(t, e, "sync.shop", Ready, "1 object")
	})
}

func TestWhatLeftWhileNoDaemonRanIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.stop(e)
		e = w.start(`source "memory" "other" { url = "mem://shop" }
sync "other" { source = source.memory.other }`)
		synctest.Wait()
		var told []string
		err := e.Events(t.Context(), EventQuery{}, func(ev event.Event) error {
			if ev.Reason == eventRemoved {
				told = append(told, ev.Node+" "+ev.Message)
			}
			return nil
		})
		want := []string{"sync.shop not in the configuration any more: 2 objects of it stay in the target, where nothing manages them"}
		if diff := cmp.Diff(want, told); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		if ids, err := syncRecords.IDs(e.store); slices.Contains(ids, "sync.shop") || err != nil {
			t.Errorf("records of %v, %v", ids, err)
		}
	})
}

func TestAPluginThatIsDownShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, kube, Ready, "open")
		w.mu.Lock()
		w.plugins = []pluginhost.PluginStatus{{Plugin: "kubernetes", State: pluginhost.Backoff, Reason: "it ended: killed", Instances: []string{kube}}}
		w.mu.Unlock()
		expect(t, e, kube, Failed, "its plugin kubernetes is not running: it ended: killed")
		expect(t, e, "source.memory.shop", Ready, "")
		for _, n := range e.Status().Nodes {
			if failed := n.State == Failed; failed != (n.ID == kube) {
				t.Errorf("%s is %s", n.ID, n.State)
			}
		}
	})
}

func TestARestartDoesNotWaitAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = `
source "memory" "shop" { url = "mem://shop" }
sync "shop" {
  source = source.memory.shop
  wait { timeout = "1m" }
}
`
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(waiting)
		expect(t, e, "sync.shop", Ready, "")
		w.stop(e)
		watches := w.target(kube).Calls("Watch")
		e = w.start(waiting)
		expect(t, e, "sync.shop", Ready, "")
		w.stop(e)
		if n := w.target(kube).Calls("Watch") - watches; n != 0 {
			t.Errorf("%d watches after a restart without news", n)
		}
		w.target(kube).SetHealth("a", applier.Stalled, "the pod crashes")
		details, _ := w.once(ApplyOptions{})
		if n := details[0].Node; n.State != Failed || !strings.Contains(n.Reason, "the pod crashes") {
			t.Errorf("a one-shot looks: %s: %s", n.State, n.Reason)
		}
		e = w.start(waiting)
		expect(t, e, "sync.shop", Failed, "the pod crashes")
	})
}
