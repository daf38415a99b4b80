// Package apply carries out the steps of a plan that create or update objects:
// one server-side apply for each, in the order that objects need, independent
// ones at the same time. One object's failure harms only those that cannot be
// without it. It deletes nothing, except an object that it makes anew when
// that is allowed.
package apply

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// atOnce bounds the objects worked on together; the client's transport sets
// how many of their requests the server gets at a time.
const atOnce = 64

// Applier applies steps.
type Applier struct {
	Metadata metadata.Interface
	Dynamic  dynamic.Interface
	Manager  string        // field manager
	Recreate bool          // immutable fields may be changed by making the object anew
	Timeout  time.Duration // of each wait for one object
}

// Done is what became of a step. Record is what to remember of the object; it
// is nil if it was not applied. Version is the resourceVersion that the apply
// led to.
type Done struct {
	applier.Result
	Record  *inventory.Record
	Version string
}

// Run applies the steps whose action is Create or Update and calls report for
// every one of steps, one at a time. When ctx ends the remaining ones are
// reported as skipped.
func (a *Applier) Run(ctx context.Context, steps []plan.Step, report func(Done)) {
	var changes []*plan.Step
	for i := range steps {
		switch s := &steps[i]; s.Action {
		case applier.Create, applier.Update:
			changes = append(changes, s)
		case applier.Prune, applier.Kept: // not an apply's business
		default:
			report(Done{Result: untouched(s)})
		}
	}
	a.run(ctx, order(changes), report)
}

func untouched(s *plan.Step) applier.Result {
	r := applier.Result{Ref: s.Ref, File: s.File, Line: s.Line, Reason: s.Reason, Diagnostic: s.Diagnostic}
	switch s.Action {
	case applier.None:
		r.Outcome = applier.Unchanged
	case applier.Refused:
		r.Outcome = applier.Failed
	default:
		r.Outcome = applier.Skipped
	}
	return r
}

// run works off the tasks: those that wait for nothing first, each of the
// others as soon as the last one before it is done.
func (a *Applier) run(ctx context.Context, tasks []*task, report func(Done)) {
	type finished struct {
		*task
		Done
	}
	var ready []*task
	for _, t := range tasks {
		if t.waits == 0 {
			ready = append(ready, t)
		}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan finished, atOnce)
	for running := 0; len(ready) > 0 || running > 0; {
		for len(ready) > 0 && running < atOnce {
			t := ready[0]
			ready = ready[1:]
			if t.step == nil {
				ready = append(ready, t.release()...)
				continue
			}
			running++
			wg.Go(func() { done <- finished{t, a.object(ctx, t)} })
		}
		if running == 0 {
			continue
		}
		f := <-done
		running--
		report(f.Done)
		ready = append(ready, f.release()...)
	}
}

// release tells those that wait, and returns the ones that now wait no more.
func (t *task) release() []*task {
	var free []*task
	for _, e := range t.blocks {
		if e.needs && t.cause != "" && e.to.lacks == "" {
			e.to.lacks = t.cause
		}
		if e.to.waits--; e.to.waits == 0 {
			free = append(free, e.to)
		}
	}
	return free
}

// object applies one object, and sets the task's cause if it cannot.
func (a *Applier) object(ctx context.Context, t *task) Done {
	s := t.step
	d := Done{Result: applier.Result{Ref: s.Ref, File: s.File, Line: s.Line, Reason: s.Reason, Outcome: applier.Updated}}
	if s.Live == nil {
		d.Outcome = applier.Created
	}
	switch {
	case t.lacks != "":
		d.Outcome, d.Reason = applier.Skipped, t.lacks
	case ctx.Err() != nil:
		d.Outcome, d.Reason = applier.Skipped, "the apply was stopped: "+context.Cause(ctx).Error()
	case s.Live != nil && s.Live.Deleting:
		d.Outcome, d.Reason = applier.Skipped, "it is being deleted, and is applied again when it is gone"
	default:
		a.send(ctx, t, &d)
	}
	if d.Outcome == applier.Skipped || d.Outcome == applier.Failed {
		t.cause = fmt.Sprintf("it needs %s (%s:%d), which could not be applied: %s", s.Ref, s.File, s.Line, d.Reason)
	}
	return d
}

func (d *Done) fail(summary, detail string) {
	d.Outcome, d.Reason = applier.Failed, summary
	d.Diagnostic = &diag.Diagnostic{
		Summary: summary,
		Detail:  detail,
		Subject: &diag.Range{File: d.File, Start: diag.Pos{Line: d.Line}},
	}
}
