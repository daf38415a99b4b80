package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// HelmOperate does op to a release, as a job of its node, so never beside a run.
// Where the next run would undo it, the release is suspended before, and stays so
// unless nothing came of it. progress may be nil, and is not called any more once
// HelmOperate has returned. If ctx ends, an operation that has begun goes on, and
// one that waits for its turn is dropped.
func (e *Engine) HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (HelmOutcome, error) {
	named, err := e.resolveRelease(op.Name)
	if err != nil {
		return HelmOutcome{}, err
	}
	if !op.Kind.Known() {
		return HelmOutcome{}, refusal.Invalid("%q is nothing that is done to a release: use rollback, test or uninstall", op.Kind)
	}
	if op.DryRun {
		return e.rehearse(ctx, named, op)
	}
	t := byhand.NewTask(op, progress)
	t.Former = named.former
	defer t.Leave()
	if err := e.ask(named.id, t); err != nil {
		return HelmOutcome{}, err
	}
	done, err := t.Wait(ctx)
	if ctx.Err() != nil {
		e.withdraw(named.id, t)
	}
	if err != nil {
		return HelmOutcome{}, err
	}
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	detail, err := e.statusOfRelease(ctx, named)
	return HelmOutcome{HelmDetail: detail, Done: done}, err
}

// ask has a task done when it is its turn.
func (e *Engine) ask(id string, t *byhand.Task) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	switch {
	case !e.alive:
		return refusal.Conflict("%v", errStopping)
	case n == nil || n.release == nil:
		return refusal.NotFound("%s is not there any more", id)
	}
	n.release.asked.Add(t)
	e.triggerLocked(id, sched.Interactive)
	return nil
}

// withdraw takes back what was asked for, if it has not begun.
func (e *Engine) withdraw(id string, t *byhand.Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[id]; n != nil && n.release != nil && n.release.asked.Withdraw(t) {
		e.publish(n, eventNotOperated, fmt.Sprintf("%s by %s was withdrawn before it began", t.Kind, t.By))
	}
}

// rehearse says what op would do.
func (e *Engine) rehearse(ctx context.Context, named namedRelease, op byhand.Operation) (HelmOutcome, error) {
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	job, err := e.inspectRelease(ctx, named)
	if err != nil {
		return HelmOutcome{}, err
	}
	s, err := op.Check(ctx, job.byHand())
	if err != nil {
		return HelmOutcome{}, deadline.Because(ctx, err)
	}
	detail, err := e.statusOfRelease(ctx, named)
	if err != nil {
		return HelmOutcome{}, err
	}
	out := HelmOutcome{HelmDetail: detail, DryRun: true}
	switch op.Kind {
	case byhand.Rollback:
		out.Done = fmt.Sprintf("would roll back to revision %d, %s", s.Back.Number, s.Back.Chart)
		op.Revision = s.Back.Number
	case byhand.Test:
		out.Done = fmt.Sprintf("would run the tests of revision %d", s.Revision.Number)
	case byhand.Uninstall:
		out.Done = fmt.Sprintf("would uninstall %s from %s", detail.Name, detail.Namespace)
	}
	if op.Undone() && job.former.Name == "" {
		out.Done += ", and suspend " + job.id
	}
	if op.Kind == byhand.Rollback {
		err = e.rehearseRollback(ctx, job, op, &out)
	}
	return out, deadline.Because(ctx, err)
}

// rehearseRollback adds what a rollback would change.
func (e *Engine) rehearseRollback(ctx context.Context, job *releaseJob, op byhand.Operation, out *HelmOutcome) (err error) {
	if !job.host.CanPlanRollback() {
		out.Done += "; what that would change cannot be told: this plugin is too old for that"
		return nil
	}
	out.Changes, _, err = e.releases.runner.PlanRollback(ctx, job.host, op.Back(job.byHand()), e.secretValues(ctx, job))
	return err
}

// secretValues are the JSON pointers of what is secret among the values of a
// release, in any of its revisions. Where that is not known, it is all of them.
func (e *Engine) secretValues(ctx context.Context, job *releaseJob) []string {
	if job.runnable() != nil {
		return []string{""}
	}
	composed, err := e.releases.runner.Values(ctx, job.declared.Spec, job.host)
	if err != nil {
		return []string{""}
	}
	return job.record.SecretsIn(0, composed.Secrets)
}

// byHand is the job's release, for what people do to it.
func (j *releaseJob) byHand() byhand.Release {
	_, owner := j.declared.Release(j.record)
	owners := []string{owner}
	if j.former.Name != "" {
		owners = []string{j.record.Owner}
	}
	if j.inherits != "" {
		owners = append(owners, j.inherits)
	}
	return byhand.Release{Ref: j.ref(), Owners: owners, Spec: j.declared.Spec, Host: j.host}
}

// doHelmTask does what was asked for by hand.
func (e *Engine) doHelmTask(ctx context.Context, job *releaseJob, tell func(release.Progress)) {
	t := job.task
	hold := func() (lift func(), err error) { return e.suspendFor(job.id, t.Operation) }
	if job.former.Name != "" { // no run does anything to that
		hold = func() (lift func(), err error) { return func() {}, nil }
	}
	by := job.byHand()
	by.Host = e.releases.runner.Guarded(by.Host)
	e.endTask(job, t.Do(ctx, by, hold, tell))
}

// suspendFor keeps the next runs from undoing what a person does, also those of
// the next process. lift takes that back.
func (e *Engine) suspendFor(id string, op byhand.Operation) (lift func(), err error) {
	s := &Suspension{By: op.By, Reason: op.Why(), Since: now()}
	if err := suspensions.Put(e.store, id, *s); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return func() {}, nil
	}
	before := n.suspension
	e.setSuspension(n, s)
	e.publish(n, eventSuspended, s.String())
	return func() { e.liftSuspension(id, s, before) }, nil
}

// liftSuspension puts before in the place of s.
func (e *Engine) liftSuspension(id string, s, before *Suspension) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.suspension != s {
		return // somebody has suspended or resumed it since
	}
	e.setSuspension(n, before)
	if before == nil {
		e.publish(n, eventResumed, "nothing came of it, and the release is as it was")
	} else {
		e.publish(n, eventSuspended, "nothing came of it, and the release is as it was, "+before.String())
	}
	e.schedulePart(n)
}

// ref is the release that the job is about.
func (j *releaseJob) ref() helm.ReleaseRef {
	if j.former.Name != "" {
		return j.former
	}
	ref, _ := j.declared.Release(j.record)
	return ref
}

// endTask ends an operation by hand. After a test, and after what has failed, the
// release is looked at again.
func (e *Engine) endTask(job *releaseJob, err error) {
	t := job.task
	e.mu.Lock()
	e.releases.tally.Add(string(t.Kind), err != nil)
	n := e.nodes[job.id]
	if n != nil && n.release != nil {
		n.release.endRun = nil
		if before := n.release.report; before != nil && job.former.Name == "" {
			if found, ok := t.Found(*before); ok {
				n.release.report = &found
				e.voiceOf(n, n.release.declared).Found(found)
			}
		}
		if err != nil {
			e.publish(n, eventNotOperated, fmt.Sprintf("%s by %s failed: %s", t.Kind, t.By, words.OneLine(err)))
		} else {
			e.publish(n, eventOperated, strings.TrimSpace(t.Text()))
		}
		if t.Kind == byhand.Uninstall && err == nil {
			e.freed(n, job.ref())
		}
		if s := n.suspended(); s != nil {
			e.tellWaits(n, s.String())
			e.rest(n, Suspended, s.String(), resumeHint(s, n.id))
		} else {
			e.rest(n, Waiting, "for its next run", "")
			e.triggerLocked(n.id, sched.Webhook)
		}
	}
	e.mu.Unlock()
	t.Finish(err)
}

// operationTimeout bounds what a person waits for an answer about a release.
const operationTimeout = 30 * time.Second
