package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// runRelease makes one release as it is declared, or does with it what somebody
// asked for.
func (e *Engine) runRelease(ctx context.Context, id string) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	job, ok := e.beginRelease(id, cancel)
	if !ok {
		return
	}
	defer e.endTurn(job)
	err := sched.Park(ctx, func(ctx context.Context) error {
		leave, err := job.slots.Enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		e.workOnRelease(ctx, job)
		return nil
	})
	if err != nil {
		e.abandonRelease(job, context.Cause(ctx))
	}
}

// workOnRelease does what the job is for.
func (e *Engine) workOnRelease(ctx context.Context, job *releaseJob) {
	tell := func(p release.Progress) { e.releaseProgress(job, p) }
	switch {
	case job.task != nil:
		e.doHelmTask(ctx, job, tell)
		return
	case job.ends():
		e.removeRelease(ctx, job, tell)
		return
	}
	if err := e.holdResource(ctx, job); err != nil {
		if ctx.Err() != nil || errors.Is(err, applier.ErrNoResource) {
			e.abandonRelease(job, err) // what has become of it comes with the next change
			return
		}
		e.endRelease(job, unreported(err), job.record)
		return
	}
	if err := e.beginRecord(job); err != nil {
		e.endRelease(job, unreported(err), job.record)
		return
	}
	report, record := e.releases.runner.Run(ctx, job.declared.Spec, job.host, job.record, tell)
	if ctx.Err() != nil {
		e.keepRecord(job, record)
		e.abandonRelease(job, context.Cause(ctx))
		return
	}
	e.endRelease(job, report, record)
}

// unreported is the report of a run that could not begin.
func unreported(err error) release.Report {
	return release.Report{State: release.Unknown, Action: release.ActNone, Reason: words.OneLine(err), Err: err, Error: err.Error()}
}

// releaseProgress shows what a run is doing, and passes it on.
func (e *Engine) releaseProgress(job *releaseJob, p release.Progress) {
	text := p.Text
	if text == "" {
		text = p.Event.Message
	}
	if text == "" {
		text = string(p.Phase)
	}
	e.mu.Lock()
	if n := e.nodes[job.id]; n != nil && n.view.State == Running {
		n.view.Reason = text
	}
	e.mu.Unlock()
	e.progress(job.id, rollout.Progress{Step: rollout.StepApply, Text: text})
	e.tellResource(job, func(v *resources.Voice) { v.Progressed(p) })
}

// abandonRelease ends a run that was ended before its end: whoever did it knows
// what comes next.
func (e *Engine) abandonRelease(job *releaseJob, cause error) {
	if job.task != nil {
		job.task.Finish(cause)
	}
	e.mu.Lock()
	if n := e.nodes[job.id]; n != nil && n.release != nil {
		n.release.endRun = nil
	}
	e.mu.Unlock()
	e.abandon(job.id)
}

// keepRecord remembers what a run has done that did not come to its end.
func (e *Engine) keepRecord(job *releaseJob, record release.Record) {
	e.mu.Lock()
	n := e.nodes[job.id]
	current := n != nil && n.release != nil
	if current {
		n.release.record, n.release.target = record, job.target
	}
	e.mu.Unlock()
	if current {
		e.recorder.mark(job.id)
	}
}

// endRelease records what came of a run and triggers what it unblocks.
func (e *Engine) endRelease(job *releaseJob, report release.Report, record release.Record) {
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		e.mu.Unlock()
		return
	}
	r := n.release
	before := r.report
	changed := before == nil || report.Changed() || digest.Of(record) != digest.Of(r.record) || !sameOutcome(*before, report)
	shown := report
	if len(shown.Steps) == 0 && before != nil {
		shown.Steps = before.Steps // what was done last, people want to know for long
	}
	r.report, r.record, r.target, r.endRun = &shown, record, job.target, nil
	r.tried = maps.Clone(job.at)
	e.releases.tally.Run(report)
	e.tellSteps(n, report)
	e.concludeRelease(n, job, report)
	n.outcome.made = &report
	if report.Changed() {
		e.discoverSoon(job.declared.Applier)
	}
	e.mu.Unlock()
	e.tellResource(job, func(v *resources.Voice) { v.Reported(report) })
	e.rolloutsSoon(job.id)
	if changed {
		e.recorder.mark(job.id)
	}
}

// concludeRelease turns a report into the node's state. e.mu is held.
func (e *Engine) concludeRelease(n *node, job *releaseJob, report release.Report) {
	r := n.release
	n.view.Revision, n.view.Message = releaseRevision(report), report.Chart.AppVersion
	switch {
	case report.Err != nil:
		e.failed(n, permanent(releaseError(report.Err)), report.Unblock)
	case report.Action == release.ActWait:
		e.succeeded(n, Waiting, report.Reason, "the end of that")
	default:
		r.inherits = ""
		r.synced, r.ready, r.at = job.declared.Key, now(), maps.Clone(job.at)
		e.succeeded(n, Ready, report.Reason, "")
		e.tellDependents(n.id)
	}
	if e.times != nil && !report.Again.IsZero() {
		e.times.Postpone(n.id, max(time.Until(report.Again), 0))
	}
}

// releaseError is a problem of a release with the places that its diagnostics
// have.
func releaseError(err error) error {
	if err == nil {
		return nil
	}
	l, ok := diag.From(err)
	if !ok {
		return err
	}
	return &placedError{text: fmt.Sprint(err), cause: err, problems: l}
}

// permanent keeps the timetable from backing off by itself: a report says when
// to run again.
func permanent(err error) error {
	if sdk.IsPermanent(err) {
		return err
	}
	return sdk.Permanent(err)
}

// endInvalid ends the run of a declaration that cannot be run. e.mu is held.
func (e *Engine) endInvalid(n *node, err error) {
	e.failed(n, permanent(releaseError(err)), "a change of "+n.release.declared.Place)
	e.voiceOf(n, n.release.declared).Failed(err)
}

// releaseRevision is the chart that runs, for people.
func releaseRevision(report release.Report) string {
	c := report.Chart
	switch {
	case c.Name == "":
		return report.Revision.Chart
	case c.Revision != "" && c.Version == "":
		return c.Name + "@" + words.Short(c.Revision)
	}
	return c.Name + "-" + c.Version
}

// sameOutcome reports whether two reports tell people the same.
func sameOutcome(a, b release.Report) bool {
	a.Steps, b.Steps = nil, nil
	a.Again, b.Again = time.Time{}, time.Time{}
	return digest.Of(a) == digest.Of(b)
}
