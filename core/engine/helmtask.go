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
// HelmOperate has returned. If ctx ends, the operation goes on.
func (e *Engine) HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (HelmOutcome, error) {
	id, err := e.resolveRelease(op.Name)
	if err != nil {
		return HelmOutcome{}, err
	}
	if !op.Kind.Known() {
		return HelmOutcome{}, refusal.Invalid("%q is nothing that is done to a release: use rollback, test or uninstall", op.Kind)
	}
	if op.DryRun {
		return e.rehearse(ctx, id, op)
	}
	t := byhand.NewTask(op, progress)
	defer t.Leave()
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil || n.release == nil || !e.alive {
		e.mu.Unlock()
		return HelmOutcome{}, refusal.NotFound("%s is not there any more", id)
	}
	n.release.asked.Add(t)
	e.triggerLocked(id, sched.Interactive)
	e.mu.Unlock()
	done, err := t.Wait(ctx)
	if err != nil {
		return HelmOutcome{}, err
	}
	detail, err := e.HelmStatus(ctx, id)
	return HelmOutcome{HelmDetail: detail, Done: done}, err
}

// rehearse says what op would do.
func (e *Engine) rehearse(ctx context.Context, id string, op byhand.Operation) (HelmOutcome, error) {
	detail, err := e.HelmStatus(ctx, id)
	if err != nil {
		return HelmOutcome{}, err
	}
	out := HelmOutcome{HelmDetail: detail, DryRun: true}
	switch op.Kind {
	case byhand.Rollback:
		history, err := e.HelmHistory(ctx, id)
		if err != nil {
			return HelmOutcome{}, err
		}
		to, err := rollbackTarget(history, op.Revision)
		if err != nil {
			return HelmOutcome{}, err
		}
		out.Done = fmt.Sprintf("would roll back to revision %d, %s, and suspend %s", to.Number, to.Chart, id)
		op.Revision = to.Number
		if err := e.rehearseRollback(ctx, id, op, &out); err != nil {
			return HelmOutcome{}, err
		}
	case byhand.Test:
		out.Done = "would run the tests of revision " + fmt.Sprint(detail.Revision)
	case byhand.Uninstall:
		out.Done = fmt.Sprintf("would uninstall %s from %s, and suspend %s", detail.Name, detail.Namespace, id)
	}
	return out, nil
}

// rehearseRollback adds what a rollback would change.
func (e *Engine) rehearseRollback(ctx context.Context, id string, op byhand.Operation, out *HelmOutcome) error {
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	job, err := e.inspect(ctx, id)
	if err != nil {
		return err
	}
	if !job.host.CanPlanRollback() {
		out.Done += "; what that would change cannot be told: this plugin is too old for that"
		return nil
	}
	back := op.Back(byhand.Release{Ref: job.ref(), Spec: job.declared.Spec, Host: job.host})
	out.Changes, _, err = e.releases.runner.PlanRollback(ctx, job.host, back, e.secretValues(ctx, job))
	return deadline.Because(ctx, err)
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

// rollbackTarget is the revision that a rollback to number leads to.
func rollbackTarget(history []helm.Revision, number int) (helm.Revision, error) {
	for i, rev := range history {
		switch {
		case number == rev.Number && number > 0:
			return rev, nil
		case number == 0 && i > 0 && (rev.Status == "superseded" || rev.Status == "deployed"):
			return rev, nil
		}
	}
	if number > 0 {
		return helm.Revision{}, refusal.NotFound("there is no revision %d", number)
	}
	return helm.Revision{}, refusal.Conflict("there is no earlier revision to roll back to")
}

// doHelmTask does what was asked for by hand.
func (e *Engine) doHelmTask(ctx context.Context, job *releaseJob, tell func(release.Progress)) {
	t := job.task
	hold := func() (lift func(), err error) { return e.suspendFor(job.id, t.Operation) }
	err := t.Do(ctx, byhand.Release{Ref: job.ref(), Spec: job.declared.Spec, Host: job.host}, hold, tell)
	e.endTask(job, err)
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
	n.suspension = s
	if e.times != nil {
		e.times.Remove(resumeKey + id)
	}
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
	var err error
	if before == nil {
		err = suspensions.Delete(e.store, id)
	} else {
		err = suspensions.Put(e.store, id, *before)
	}
	if err != nil {
		e.log.Error("cannot resume", "node", id, "err", err)
		return
	}
	n.suspension = before
	e.publish(n, eventResumed, "nothing came of it, and the release is as it was")
	e.schedulePart(n)
}

// ref is the release that the job is about.
func (j *releaseJob) ref() helm.ReleaseRef {
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
		if before := n.release.report; before != nil {
			if found, ok := t.Found(*before); ok {
				n.release.report = &found
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
