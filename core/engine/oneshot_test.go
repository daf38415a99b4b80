package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// once runs `apply` in an engine of its own, as a pipeline would, and returns
// the steps beside the outcome.
func (w *world) once(o ApplyOptions) ([]Detail, []string) {
	w.t.Helper()
	e := w.engine()
	defer w.stop(e)
	if diags := e.Load(w.t.Context()); diags.HasErrors() {
		w.t.Fatal(diags.Err())
	}
	var steps []string
	o.Progress = func(p Progress) { steps = append(steps, fmt.Sprintf("%s %s", p.Node, p.Step)) }
	details, err := e.Apply(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return details, steps
}

func TestApplyRunsEachSyncOnceOnTheNewestRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.configure(shop)
		w.once(ApplyOptions{})
		w.repo("mem://shop").commit("a", "b")
		details, steps := w.once(ApplyOptions{})
		if n := details[0].Node; n.State != Ready || n.Revision != "rev2" {
			t.Errorf("%s at %s: %s", n.State, n.Revision, n.Reason)
		}
		want := []string{
			"source.memory.shop resolve", "source.memory.shop fetch",
			"sync.shop load", "sync.shop plan", "sync.shop apply", "sync.shop done",
		}
		if diff := cmp.Diff(want, steps); diff != "" {
			t.Error(diff)
		}
	})
}

func TestApplyIsNotReadyWithoutItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.configure(shop)
		w.once(ApplyOptions{})
		plans := w.target(kube).Calls("Plan")
		w.repo("mem://shop").fail(errors.New("connection refused"))
		details, _ := w.once(ApplyOptions{})
		n := details[0].Node
		if n.State != Failed || !strings.Contains(n.Reason, "source.memory.shop: resolve: connection refused") {
			t.Errorf("%s: %s", n.State, n.Reason)
		}
		if details[0].Report != nil {
			t.Error("the report of an earlier run is shown as this one's")
		}
		if w.target(kube).Calls("Plan") != plans {
			t.Error("the target was asked about an old revision")
		}
	})
}

func TestApplyApprovesInASecondRunOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(30)...)
		w.configure(shop)
		w.once(ApplyOptions{})
		w.repo("mem://shop").commit(names(3)...)
		details, _ := w.once(ApplyOptions{})
		if n := details[0].Node; n.State != Waiting || n.Unblock != "sluice apply shop --approve "+n.Approval {
			t.Errorf("%s: %s; %s", n.State, n.Reason, n.Unblock)
		}
		resolves, plans := w.repo("mem://shop").resolves, w.target(kube).Calls("Plan")
		details, _ = w.once(ApplyOptions{Approve: []string{"all"}})
		if n := details[0].Node; n.State != Ready || n.Objects != 3 {
			t.Errorf("%s: %s", n.State, n.Reason)
		}
		if r, p := w.repo("mem://shop").resolves-resolves, w.target(kube).Calls("Plan")-plans; r != 1 || p != 2 {
			t.Errorf("%d resolves, %d plans; want 1 and 2", r, p)
		}
	})
}

func TestPluginProblemsHaveTheirPlaces(t *testing.T) {
	w := newWorld(t)
	w.repo("mem://shop").commit("a")
	w.configure(shop)
	w.breakOpen("source.memory.shop", diag.List{
		diag.Errorf(diag.Attr("url"), "no such scheme"), diag.Errorf(nil, "a token is needed"),
	}.Err())
	w.breakOpen(kube, diag.Errorf(nil, "no such context"))
	want := []rollout.Problem{
		{Severity: "error", Summary: "no such scheme", File: "sluice.hcl", Line: 2, Column: 32, EndLine: 2, EndColumn: 44},
		{Severity: "error", Summary: "a token is needed", File: "sluice.hcl", Line: 2, Column: 1, EndLine: 2, EndColumn: 23},
	}
	short := func(all []rollout.Problem) []rollout.Problem {
		for i, p := range all {
			all[i].File = p.File[strings.LastIndex(p.File, "/")+1:]
		}
		return all
	}
	details, _ := w.once(ApplyOptions{})
	got := short(details[0].Node.Problems)
	if len(got) != 3 {
		t.Fatalf("the sync shows the problems of its source and of its applier: %+v", got)
	}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Error(diff)
	}
	if d := got[0].Diagnostic(); d.Subject == nil || d.Subject.End.Column != 44 || d.Severity != diag.Error {
		t.Errorf("back to a diagnostic: %+v", d)
	}

	e := w.engine()
	defer w.stop(e)
	e.Load(t.Context())
	plans, err := e.Plan(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, short(plans[0].Problems)[:2]); diff != "" {
		t.Error(diff)
	}
}

func TestWarningsOfAPluginStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.warned = diag.List{diag.Warningf(diag.Attr("url"), "plain http")}
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		n := expect(t, e, "source.memory.shop", Ready, "")
		if len(n.Problems) != 1 || n.Problems[0].Severity != "warning" || n.Problems[0].Line != 2 {
			t.Errorf("%+v", n.Problems)
		}
	})
}

// TestRenderedOnce: one-shot commands render, too.
func TestRenderedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").put("web.app", "registry.invalid/web:1.0.0")
		w.configure("renderer \"memory\" \"apps\" {}\nsource \"memory\" \"shop\" { url = \"mem://shop\" }\n" +
			"sync \"shop\" {\n source = source.memory.shop\n renderer = renderer.memory.apps\n}\n")
		e := w.engine()
		if diags := e.Load(t.Context()); diags.HasErrors() {
			t.Fatal(diags.Err())
		}
		plans, err := e.Plan(t.Context(), nil, nil)
		w.stop(e)
		if err != nil || len(plans) != 1 || plans[0].Error != "" || len(plans[0].Plan.Objects) != 1 || plans[0].Plan.Objects[0].File != "web.app" {
			t.Fatalf("%+v, %v", plans, err)
		}
		details, _ := w.once(ApplyOptions{})
		if n := details[0].Node; n.State != Ready || n.Objects != 1 {
			t.Errorf("%s: %s", n.State, n.Reason)
		}
		w.breakOpen("renderer.memory.apps", errors.New("no such binary"))
		details, _ = w.once(ApplyOptions{})
		if n := details[0].Node; n.State != Failed || !strings.Contains(n.Reason, "no such binary") {
			t.Errorf("%s: %s", n.State, n.Reason)
		}
	})
}
