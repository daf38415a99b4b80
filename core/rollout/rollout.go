// Package rollout brings one sync from a fetched tree to a recorded result:
//
//	load -> plan -> guard -> apply -> wait -> prune -> report
//
// Each step is small and takes what the one before made. A Plan is a value;
// what follows it decides nothing more. Failures stay with the file or the
// object they belong to: a Report names them all, and only a failure of the
// call as a whole ends a run early.
//
// Deletion is what a run is careful about. Nothing is pruned after an empty,
// partial or failed load, while an object fails to apply, waits to be applied or
// does not become ready, or, without the approval of exactly this list, beyond
// the budget and while an object that the target has newly refused may be what
// takes the place of the old ones. See Plan.guard.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Request is what one sync wants done with one tree.
type Request struct {
	Owner    string          // name of the sync in the target
	Revision source.Revision // of the tree
	Tree     string          // digest of the tree
	Target   string          // what the applier is configured for: an approval is of one target
	Policy   Policy
	Approved string   // digest of the pruning that a person allowed
	Origin   string   // where the objects come from: a change of it is no wish to delete
	Recorded string   // Origin of the last run that left nothing to delete, "" if unknown; the target's word goes before
	Writer   string   // who applies; another one that the target tells of is Report.Other
	Refused  []string // objects that were refused before anything left the load, see Report.Refused

	Adopt    bool
	Recreate bool
	Timeout  time.Duration // bounds the plan, the apply and the prune, each
	Wait     time.Duration // bounds the wait until objects are ready; zero: no wait
	Settled  bool          // the last run was of the same tree and ended well: wait only if something changes
}

func (r Request) set(l *Loaded) applier.Set {
	return applier.Set{
		Owner: r.Owner, Objects: l.Items, Revision: r.Revision.ID, Complete: l.Complete && l.Objects > 0,
		Adopt: r.Adopt, Recreate: r.Recreate, Timeout: r.each(),
	}
}

// each bounds the applier's wait for one object: by less than the call, so that
// what does not come fails by itself and not the call with it.
func (r Request) each() time.Duration { return r.Timeout / 2 }

// Step is a part of a run.
type Step string

// The steps, in their order. The first two are the engine's.
const (
	StepResolve Step = "resolve"
	StepFetch   Step = "fetch"
	StepLoad    Step = "load"
	StepPlan    Step = "plan"
	StepApply   Step = "apply"
	StepWait    Step = "wait"
	StepPrune   Step = "prune"
	StepDone    Step = "done"
)

// Progress tells somebody who waits what happens.
type Progress struct {
	Step   Step    `json:"step"`
	Text   string  `json:"text,omitempty"`
	Object *Object `json:"object,omitempty"`
	Done   int     `json:"done,omitempty"`
	Total  int     `json:"total,omitempty"`
}

// PlanOnly returns what a run of req would do, with differences. It changes
// nothing.
func PlanOnly(ctx context.Context, a applier.Applier, req Request, l *Loaded) (*Plan, error) {
	ctx, cancel := bounded(ctx, req.Timeout)
	defer cancel()
	return newPlan(ctx, a, req, l, true)
}

// Run is one rollout under way. Begin plans and applies; then, if NeedsWait,
// Wait watches without holding anything else up; Finish prunes and closes the
// report. A Run is used by one goroutine at a time.
type Run struct {
	applier  applier.Applier
	req      Request
	progress func(Progress)
	plan     *Plan
	report   Report
	needWait bool
}

// Begin plans and applies l. It returns a Run even if an error ends it early:
// Finish then reports the error. progress may be nil; it is called from
// several goroutines, one at a time.
func Begin(ctx context.Context, a applier.Applier, req Request, l *Loaded, progress func(Progress)) *Run {
	r := &Run{applier: a, req: req, progress: serial(progress)}
	r.report = Report{
		Owner: req.Owner, Revision: req.Revision, Tree: req.Tree, Started: time.Now().UTC(), Problems: l.Problems,
	}
	r.report.Counts.Wanted = l.Objects
	r.fail(r.begin(ctx, l))
	return r
}

func (r *Run) begin(ctx context.Context, l *Loaded) error {
	planCtx, cancel := bounded(ctx, r.req.Timeout)
	defer cancel()
	r.progress(Progress{Step: StepPlan, Total: l.Objects})
	plan, err := newPlan(planCtx, r.applier, r.req, l, false)
	if err != nil {
		return err
	}
	r.plan = plan
	r.report.first, r.report.other = plan.Owned == 0, plan.other
	r.report.arrived = plan.newOrigin(r.req) == r.req.Origin
	r.report.Approval, r.report.Held = plan.Approval, string(plan.Held)
	r.needWait = r.req.Wait > 0 && (plan.Writes() || !r.req.Settled)
	if !plan.Writes() && !plan.mustRecord(r.req) {
		r.takePlan()
		return nil
	}
	return r.apply(ctx, l)
}

// Plan returns what Begin planned, nil if the plan failed.
func (r *Run) Plan() *Plan { return r.plan }

// NeedsWait reports whether Wait is to be called before Finish.
func (r *Run) NeedsWait() bool { return r.needWait && r.report.Error == "" }

// Wait returns when the applied objects are ready, have failed, or the time
// is up. If ctx ends, it returns the cause and the run is to be dropped.
func (r *Run) Wait(ctx context.Context) error {
	refs := r.waitFor()
	r.progress(Progress{Step: StepWait, Total: len(refs)})
	statuses, err := wait(ctx, r.applier, r.req.Owner, refs, r.req.Wait, r.progress)
	for i := range r.report.Objects {
		o := &r.report.Objects[i]
		if s, ok := statuses[o.Ref.Identity()]; ok {
			o.Health = s.Health
			if s.Health != applier.Current && s.Message != "" {
				o.Reason = s.Message
			}
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.report.Waited = err.Error()
	}
	return nil
}

// waitFor returns the objects that stand in the target as they should.
func (r *Run) waitFor() []applier.Ref {
	var refs []applier.Ref
	for _, o := range r.report.Objects {
		switch o.Outcome {
		case applier.Created, applier.Updated, applier.Recreated, applier.Unchanged:
			refs = append(refs, o.Ref)
		}
	}
	return refs
}

// Finish prunes what the plan allows, if all went well so far, and returns
// the report.
func (r *Run) Finish(ctx context.Context) *Report {
	if r.plan != nil {
		r.fail(r.prune(ctx))
	}
	r.report.Finished = time.Now().UTC()
	r.report.count()
	r.progress(Progress{Step: StepDone, Text: r.report.Counts.String()})
	return &r.report
}

func (r *Run) fail(err error) {
	if err != nil && r.report.Error == "" {
		r.report.Error, r.report.err = err.Error(), err
	}
}

// bounded adds a timeout that names itself. Zero adds none.
func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("timeout of %s has passed", d))
}

// cause replaces a bare context error by why the context ended.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err())) {
		return context.Cause(ctx)
	}
	return err
}

func serial(f func(Progress)) func(Progress) {
	if f == nil {
		return func(Progress) {}
	}
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		f(p)
	}
}
