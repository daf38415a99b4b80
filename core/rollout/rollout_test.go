package rollout_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/rollout/rollouttest"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loaded writes a complete load of ConfigMaps with these names.
func loaded(t *testing.T, names ...string) *rollout.Loaded {
	t.Helper()
	var b strings.Builder
	for i, name := range names {
		line, err := json.Marshal(applier.Item{File: name + ".yaml", Line: i + 1, Object: map[string]any{
			"kind": "ConfigMap", "metadata": map[string]any{"name": name},
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return &rollout.Loaded{Items: path, Objects: len(names), Files: len(names), Complete: true}
}

func request() rollout.Request {
	return rollout.Request{Owner: "shop", Tree: "t1", Policy: rollout.Policy{Prune: true, Budget: rollout.DefaultBudget}}
}

// run makes a whole rollout.
func run(t *testing.T, a applier.Applier, req rollout.Request, l *rollout.Loaded) *rollout.Report {
	t.Helper()
	r := rollout.Begin(t.Context(), a, req, l, nil)
	if r.NeedsWait() {
		if err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return r.Finish(t.Context())
}

func names(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("c%02d", i))
	}
	return list
}

func TestRunConverges(t *testing.T) {
	target := &rollouttest.Target{}
	first := run(t, target, request(), loaded(t, "a", "b", "c"))
	if want := (rollout.Counts{Wanted: 3, Owned: 3, Created: 3}); first.Counts != want {
		t.Errorf("first run: %+v, want %+v", first.Counts, want)
	}
	second := run(t, target, request(), loaded(t, "a", "b", "d"))
	if want := (rollout.Counts{Wanted: 3, Owned: 3, Created: 1, Unchanged: 2, Deleted: 1}); second.Counts != want {
		t.Errorf("second run: %+v, want %+v", second.Counts, want)
	}
	if diff := cmp.Diff([]string{"a", "b", "d"}, target.Names("shop")); diff != "" {
		t.Error(diff)
	}
}

func TestRunQuietDoesNotApply(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a", "b"))
	report := run(t, target, request(), loaded(t, "a", "b"))
	if n := target.Calls("Apply"); n != 1 {
		t.Errorf("%d calls of Apply, want only the first", n)
	}
	if report.Counts.Unchanged != 2 || !report.Applied() {
		t.Errorf("quiet run: %+v", report.Counts)
	}
}

func TestRunNeverPrunesAfterABadLoad(t *testing.T) {
	tests := []struct {
		name   string
		change func(*rollout.Loaded)
	}{
		{"partial", func(l *rollout.Loaded) {
			l.Complete = false
			l.Problems = []rollout.Problem{{Severity: "error", Summary: "bad", File: "b.yaml", Line: 1}}
		}},
		{"empty", func(l *rollout.Loaded) {
			l.Objects = 0
			if err := os.WriteFile(l.Items, nil, 0o600); err != nil {
				panic(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := &rollouttest.Target{}
			run(t, target, request(), loaded(t, names(30)...))
			l := loaded(t, "c00")
			tt.change(l)
			report := run(t, target, request(), l)
			if n := target.Calls("Delete"); n != 0 {
				t.Errorf("Delete was called %d times", n)
			}
			if n := len(target.Names("shop")); n != 30 {
				t.Errorf("%d objects are left, want 30", n)
			}
			if report.Counts.Kept == 0 || report.Approval != "" || report.Held == "" {
				t.Errorf("kept %d, approval %q, held %q", report.Counts.Kept, report.Approval, report.Held)
			}
		})
	}
}

func TestRunBudgetWaitsForApproval(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, names(40)...))
	l := loaded(t, names(20)...)

	held := run(t, target, request(), l)
	if held.Approval == "" || held.Counts.Kept != 20 || len(target.Names("shop")) != 40 {
		t.Fatalf("approval %q, %+v", held.Approval, held.Counts)
	}
	req := request()
	req.Approved = held.Approval
	done := run(t, target, req, l)
	if done.Counts.Deleted != 20 || len(target.Names("shop")) != 20 {
		t.Errorf("after approval: %+v", done.Counts)
	}
}

func TestRunHoldsPruneWhileObjectsFail(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a", "b", "c"))
	target.Reject("d", "admission says no")
	report := run(t, target, request(), loaded(t, "a", "b", "d"))
	if report.Counts.Failed != 1 || report.Counts.Kept != 1 || report.Counts.Deleted != 0 || report.Held == "" {
		t.Errorf("%+v, held %q", report.Counts, report.Held)
	}
	if f := report.Failures(); len(f) != 1 || f[0].Problem.String() != "d.yaml:3: admission says no" {
		t.Errorf("failures: %+v", f)
	}
	target.Reject("d", "")
	if report := run(t, target, request(), loaded(t, "a", "b", "d")); report.Counts.Deleted != 1 {
		t.Errorf("after the repair: %+v", report.Counts)
	}
}

func TestRunHoldsPruneWhileObjectsAreMissed(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a", "b", "old"))
	target.Skip("new", "it is being deleted, and is applied again when it is gone")
	report := run(t, target, request(), loaded(t, "a", "b", "new"))
	if want := (rollout.Counts{Wanted: 3, Owned: 3, Unchanged: 2, Kept: 1, Missed: 1}); report.Counts != want {
		t.Errorf("%+v, want %+v", report.Counts, want)
	}
	if want := "nothing is deleted before what waits is applied (1 object)"; report.Held != want {
		t.Errorf("held %q, want %q", report.Held, want)
	}
	if report.Applied() || report.Settled() {
		t.Errorf("applied %v, settled %v", report.Applied(), report.Settled())
	}
	if diff := cmp.Diff([]string{"a", "b", "old"}, target.Names("shop")); diff != "" {
		t.Error(diff)
	}
	target.Skip("new", "")
	report = run(t, target, request(), loaded(t, "a", "b", "new"))
	if report.Counts.Deleted != 1 || !report.Applied() || !report.Settled() {
		t.Errorf("when it is gone: %+v, held %q", report.Counts, report.Held)
	}
}

func TestRunMayLeaveAloneWhatIsIgnored(t *testing.T) {
	for _, action := range []applier.Action{applier.Ignored, applier.Kept, applier.Prune} {
		if o := (rollout.Object{Action: action, Outcome: applier.Skipped}); o.Missed() {
			t.Errorf("%s and skipped counts as missed", action)
		}
	}
}

func TestRunAsksAfterAMove(t *testing.T) {
	target := &rollouttest.Target{}
	from := func(origin string) rollout.Request {
		req := request()
		req.Origin = origin
		return req
	}
	run(t, target, from("old"), loaded(t, names(9)...))
	l := loaded(t, append(names(7), "new")...)
	var asked *rollout.Report
	for range 2 { // the first of them writes, the second does not
		asked = run(t, target, from("new"), l)
		if asked.Approval == "" || !strings.Contains(asked.Held, "the source or the paths of this sync have changed") || target.Origin("shop") != "old" {
			t.Fatalf("held %q, origin %q", asked.Held, target.Origin("shop"))
		}
	}
	req := from("new")
	req.Approved = asked.Approval
	if done := run(t, target, req, l); done.Counts.Deleted != 2 || target.Origin("shop") != "new" {
		t.Errorf("after the approval: %+v, origin %q", done.Counts, target.Origin("shop"))
	}
	calls := target.Calls("Apply")
	if again := run(t, target, from("new"), l); again.Approval != "" || target.Calls("Apply") != calls {
		t.Errorf("the move is not over: held %q", again.Held)
	}
}

func TestRunRemembersAMoveWhileObjectsAreKept(t *testing.T) {
	target := &rollouttest.Target{}
	from := func(origin string) rollout.Request {
		req := request()
		req.Origin = origin
		return req
	}
	run(t, target, from("old"), loaded(t, names(9)...))
	target.Keep("c08", "configmaps cannot be listed: forbidden")
	l := loaded(t, append(names(8), "new")...)
	for range 2 { // the first of them writes, the second does not
		report := run(t, target, from("new"), l)
		if report.Approval != "" || !report.Settled() || report.Arrived() || target.Origin("shop") != "old" {
			t.Fatalf("a kept object is no question: held %q, arrived %v, origin %q", report.Held, report.Arrived(), target.Origin("shop"))
		}
	}
	if n := target.Calls("Apply"); n != 2 {
		t.Errorf("%d calls of Apply, want one by source", n)
	}
	target.Keep("c08", "")
	asked := run(t, target, from("new"), l)
	if asked.Approval == "" || !strings.Contains(asked.Held, "the source or the paths of this sync have changed") {
		t.Fatalf("deleted after a move without asking: %+v", asked.Counts)
	}
	req := from("new")
	req.Approved = asked.Approval
	if done := run(t, target, req, l); done.Counts.Deleted != 1 || !done.Arrived() {
		t.Errorf("after the approval: %+v, arrived %v", done.Counts, done.Arrived())
	}
	if run(t, target, from("new"), l); target.Origin("shop") != "new" {
		t.Errorf("origin %q after all of it is done", target.Origin("shop"))
	}
}

func TestRunPrunesBesideARefusedObject(t *testing.T) {
	target := &rollouttest.Target{}
	target.Refuse("release", "no such kind")
	first := run(t, target, request(), loaded(t, "a", "b", "c", "release"))
	if diff := cmp.Diff([]string{"ConfigMap/release"}, first.Refused()); diff != "" || !first.Settled() || first.Applied() {
		t.Errorf("%s settled %v, applied %v", diff, first.Settled(), first.Applied())
	}
	req := request()
	req.Refused = first.Refused()
	report := run(t, target, req, loaded(t, "a", "b", "release"))
	if report.Counts.Deleted != 1 || report.Counts.Failed != 1 || !report.Settled() {
		t.Errorf("c left the load, release was refused before: %+v, held %q", report.Counts, report.Held)
	}
}

func TestRunAsksBeforeARefusedObjectReplacesOthers(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a", "b", "web"))
	target.Refuse("rollout", "no such kind")
	l := loaded(t, "a", "b", "rollout")
	report := run(t, target, request(), l)
	if report.Counts.Deleted != 0 || report.Approval == "" || !strings.Contains(report.Held, "rollout, which may take their place") || report.Settled() {
		t.Fatalf("web is what runs: %+v, held %q", report.Counts, report.Held)
	}
	req := request()
	req.Approved = report.Approval
	if report := run(t, target, req, l); report.Counts.Deleted != 1 || !report.Settled() {
		t.Errorf("after the approval: %+v, held %q", report.Counts, report.Held)
	}
}

func TestRunDeletionThatFails(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, names(9)...))
	target.Reject("c08", "a finalizer does not end")
	l := loaded(t, names(7)...)
	report := run(t, target, request(), l)
	if report.Counts.Deleted != 1 || report.Counts.Failed != 1 || report.Applied() {
		t.Errorf("%+v", report.Counts)
	}
	target.Reject("c08", "")
	if report := run(t, target, request(), l); report.Counts.Deleted != 1 || !report.Applied() {
		t.Errorf("the next run: %+v", report.Counts)
	}
}

func TestRunTwoOwners(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a"))
	req := request()
	req.Owner = "other"
	report := run(t, target, req, loaded(t, "a", "b"))
	if report.Counts.Failed != 1 || report.Counts.Created != 1 {
		t.Errorf("%+v", report.Counts)
	}
}

func TestRunTargetDown(t *testing.T) {
	target := &rollouttest.Target{}
	target.Down(errors.New("connection refused"))
	report := run(t, target, request(), loaded(t, "a"))
	if report.Applied() || !strings.Contains(report.Error, "connection refused") {
		t.Errorf("error %q", report.Error)
	}
}

func TestRunTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &rollouttest.Target{}
		release := target.Hold()
		defer release()
		req := request()
		req.Timeout = time.Minute
		report := run(t, target, req, loaded(t, "a"))
		if want := "apply: timeout of 1m0s has passed"; report.Error != want {
			t.Errorf("error %q, want %q", report.Error, want)
		}
	})
}

func TestWait(t *testing.T) {
	begin := func(t *testing.T, target *rollouttest.Target, req rollout.Request) *rollout.Run {
		target.Fresh(applier.InProgress)
		req.Wait = time.Minute
		r := rollout.Begin(t.Context(), target, req, loaded(t, "a", "b"), nil)
		if !r.NeedsWait() {
			t.Fatal("does not wait")
		}
		return r
	}
	tests := []struct {
		name string
		then func(*rollouttest.Target)
		want string
	}{
		{"becomes ready", func(tg *rollouttest.Target) {
			tg.SetHealth("a", applier.Current, "")
			tg.SetHealth("b", applier.Current, "")
		}, ""},
		{"fails", func(tg *rollouttest.Target) { tg.SetHealth("b", applier.Stalled, "ImagePullBackOff") },
			"failed: ConfigMap/b (ImagePullBackOff)"},
		{"never", func(tg *rollouttest.Target) { tg.SetHealth("a", applier.InProgress, "0 of 1") },
			"not ready after 1m0s: ConfigMap/a (0 of 1), ConfigMap/b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target := &rollouttest.Target{}
				r := begin(t, target, request())
				done := make(chan error)
				go func() { done <- r.Wait(t.Context()) }()
				synctest.Wait()
				tt.then(target)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if report := r.Finish(t.Context()); report.Waited != tt.want {
					t.Errorf("waited %q, want %q", report.Waited, tt.want)
				}
			})
		})
	}
	t.Run("superseded", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := begin(t, &rollouttest.Target{}, request())
			news := errors.New("a newer revision")
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(news)
			if err := r.Wait(ctx); !errors.Is(err, news) {
				t.Errorf("error %v", err)
			}
		})
	})
}

func TestWaitHoldsPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := &rollouttest.Target{}
		run(t, target, request(), loaded(t, "a", "b", "c"))
		target.Fresh(applier.Stalled)
		req := request()
		req.Wait = time.Minute
		report := run(t, target, req, loaded(t, "a", "b", "d"))
		if report.Waited == "" || report.Counts.Deleted != 0 || report.Counts.Kept != 1 {
			t.Errorf("waited %q, %+v", report.Waited, report.Counts)
		}
	})
}

func TestSettledQuietRunDoesNotWait(t *testing.T) {
	target := &rollouttest.Target{}
	req := request()
	req.Wait = time.Minute
	run(t, target, req, loaded(t, "a"))
	req.Settled = true
	if r := rollout.Begin(t.Context(), target, req, loaded(t, "a"), nil); r.NeedsWait() {
		t.Error("waits again although nothing has changed")
	}
}

func TestPlanOnlyChangesNothing(t *testing.T) {
	target := &rollouttest.Target{}
	run(t, target, request(), loaded(t, "a", "b", "c"))
	p, err := rollout.PlanOnly(t.Context(), target, request(), loaded(t, "a", "b", "d"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Count(applier.Create) != 1 || p.Count(applier.None) != 2 || len(p.Prune) != 1 || !p.Changes() {
		t.Errorf("%+v", p)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, target.Names("shop")); diff != "" {
		t.Error(diff)
	}
}
