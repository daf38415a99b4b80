package rollout

import (
	"context"
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// takePlan makes the report of a run that writes nothing: the plan's objects,
// as they stand.
func (r *Run) takePlan() {
	for _, o := range r.plan.Objects {
		if o.Action == applier.Prune || o.Action == applier.Kept {
			continue // see prune
		}
		o.Outcome = outcomeWithoutApply(o.Action)
		r.report.Objects = append(r.report.Objects, o)
	}
	r.report.Counts.Owned = r.plan.Owned
}

func outcomeWithoutApply(a applier.Action) applier.Outcome {
	switch a {
	case applier.Ignored:
		return applier.Skipped
	case applier.Refused:
		return applier.Failed
	default:
		return applier.Unchanged
	}
}

// apply makes the target hold the load. Results replace the plan's objects;
// an object without a result stays with what the plan said of it.
func (r *Run) apply(ctx context.Context, l *Loaded) error {
	ctx, cancel := bounded(ctx, r.req.Timeout)
	defer cancel()
	results := newResults(len(r.plan.Objects))
	set := r.req.set(l)
	set.Origin, set.Writer = r.plan.newOrigin(r.req), r.req.Writer
	r.report.wrote = true
	sum, err := r.applier.Apply(ctx, set, func(res applier.Result) {
		o := resultObject(res)
		done := results.add(o)
		if res.Outcome != applier.Unchanged {
			r.progress(Progress{Step: StepApply, Object: &o, Done: done, Total: l.Objects})
		}
	})
	for _, o := range results.list() {
		if p := r.plan.find(o); p != nil {
			o.Action = p.Action
			if o.Reason == "" && o.Outcome != applier.Unchanged {
				o.Reason = p.Reason
			}
		}
		r.report.Objects = append(r.report.Objects, o)
	}
	r.report.Counts.Owned = sum.Owned
	if err != nil {
		return fmt.Errorf("apply: %w", cause(ctx, err))
	}
	return nil
}

func resultObject(res applier.Result) Object {
	o := Object{Ref: res.Ref, Outcome: res.Outcome, Reason: res.Reason, File: res.File, Line: res.Line}
	if res.Outcome != applier.Failed {
		return o
	}
	if res.Diagnostic == nil {
		o.Problem = &Problem{Severity: "error", Summary: res.Reason, File: res.File, Line: res.Line}
		return o
	}
	o.Problem = objectProblem(NewProblem(*res.Diagnostic), res.File, res.Line)
	return o
}

// prune deletes what the guard let pass, and records what is kept.
func (r *Run) prune(ctx context.Context) error {
	refs := r.plan.Prune
	hold := r.holdPrune()
	pruning := map[applier.Ref]bool{}
	if hold == "" {
		for _, ref := range refs {
			pruning[ref.Identity()] = true
		}
	} else if len(refs) > 0 {
		r.report.Held = hold
	}
	for _, o := range r.plan.Objects {
		if o.Action != applier.Prune && o.Action != applier.Kept || pruning[o.Ref.Identity()] {
			continue
		}
		o.Outcome = applier.Skipped
		if o.Action == applier.Prune && hold != "" {
			o.Reason = hold
		}
		r.report.Objects = append(r.report.Objects, o)
	}
	if len(pruning) == 0 {
		return nil
	}
	return r.delete(ctx, refs)
}

// holdPrune returns why the plan's deletions must wait for a better run. What
// takes the place of the old objects has to stand first.
func (r *Run) holdPrune() string {
	failed := 0
	for _, o := range r.report.Objects {
		if o.Failed() && o.Action != applier.Refused { // the guard has seen those
			failed++
		}
	}
	switch {
	case r.report.Error != "":
		return "nothing is deleted after a failed apply"
	case failed > 0:
		return fmt.Sprintf("nothing is deleted before what fails is applied (%s)", Objects(failed))
	case len(r.report.Missed()) > 0:
		return fmt.Sprintf("nothing is deleted before what waits is applied (%s)", Objects(len(r.report.Missed())))
	case r.report.Waited != "":
		return "nothing is deleted until what was applied is ready"
	}
	return ""
}

func (r *Run) delete(ctx context.Context, refs []applier.Ref) error {
	ctx, cancel := bounded(ctx, r.req.Timeout)
	defer cancel()
	results := newResults(len(refs))
	sum, err := r.applier.Delete(ctx, applier.Deletion{Owner: r.req.Owner, Refs: refs, Timeout: r.req.each()}, func(res applier.Result) {
		o := resultObject(res)
		o.Action = applier.Prune
		r.progress(Progress{Step: StepPrune, Object: &o, Done: results.add(o), Total: len(refs)})
	})
	r.report.Objects = append(r.report.Objects, results.list()...)
	if err != nil {
		return fmt.Errorf("prune: %w", cause(ctx, err))
	}
	r.report.Counts.Owned = sum.Owned
	return nil
}
