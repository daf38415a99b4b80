package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// helmTask is an operation by hand that waits for its turn, or has it.
type helmTask struct {
	op   HelmOperation
	once sync.Once
	done chan struct{}
	text string // of what was done

	telling sync.Mutex
	tell    func(release.Progress) // nil: nobody listens any more

	revision *helm.Revision // newest afterwards; nil if nobody knows
	err      error
}

// finish ends the task.
func (t *helmTask) finish(err error) {
	t.once.Do(func() {
		t.err = err
		close(t.done)
	})
}

// say passes a step on to who asked, as long as that one listens.
func (t *helmTask) say(p release.Progress) {
	t.telling.Lock()
	defer t.telling.Unlock()
	if t.tell != nil {
		t.tell(p)
	}
}

// leave has nothing passed on any more once it has returned.
func (t *helmTask) leave() {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.tell = nil
}

// nextTask takes the next task that was asked for, nil if there is none. e.mu is
// held.
func (r *releaseNode) nextTask() *helmTask {
	if len(r.asked) == 0 {
		return nil
	}
	t := r.asked[0]
	r.asked = r.asked[1:]
	return t
}

// HelmOperate does op to a release, as a job of its node, so never beside a run.
// Where the next run would undo it, the release is suspended before, and stays so
// unless nothing came of it. progress may be nil, and is not called any more once
// HelmOperate has returned. If ctx ends, the operation goes on.
func (e *Engine) HelmOperate(ctx context.Context, op HelmOperation, progress func(release.Progress)) (HelmOutcome, error) {
	id, err := e.resolveRelease(op.Name)
	if err != nil {
		return HelmOutcome{}, err
	}
	switch op.Kind {
	case HelmRollback, HelmTest, HelmUninstall:
	default:
		return HelmOutcome{}, refuse(ErrInvalid, "%q is nothing that is done to a release: use rollback, test or uninstall", op.Kind)
	}
	if op.DryRun {
		return e.rehearse(ctx, id, op)
	}
	t := &helmTask{op: op, tell: progress, done: make(chan struct{})}
	defer t.leave()
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil || n.release == nil || !e.alive {
		e.mu.Unlock()
		return HelmOutcome{}, refuse(ErrNotFound, "%s is not there any more", id)
	}
	n.release.asked = append(n.release.asked, t)
	e.triggerLocked(id, sched.Interactive)
	e.mu.Unlock()
	select {
	case <-t.done:
	case <-ctx.Done():
		return HelmOutcome{}, context.Cause(ctx)
	}
	if t.err != nil {
		return HelmOutcome{}, t.err
	}
	detail, err := e.HelmStatus(ctx, id)
	return HelmOutcome{HelmDetail: detail, Done: t.text}, err
}

// rehearse says what op would do.
func (e *Engine) rehearse(ctx context.Context, id string, op HelmOperation) (HelmOutcome, error) {
	detail, err := e.HelmStatus(ctx, id)
	if err != nil {
		return HelmOutcome{}, err
	}
	out := HelmOutcome{HelmDetail: detail, DryRun: true}
	switch op.Kind {
	case HelmRollback:
		history, err := e.HelmHistory(ctx, id)
		if err != nil {
			return HelmOutcome{}, err
		}
		to, err := rollbackTarget(history, op.Revision)
		if err != nil {
			return HelmOutcome{}, err
		}
		out.Done = fmt.Sprintf("would roll back to revision %d, %s, and suspend %s", to.Number, to.Chart, id)
	case HelmTest:
		out.Done = "would run the tests of revision " + fmt.Sprint(detail.Revision)
	case HelmUninstall:
		out.Done = fmt.Sprintf("would uninstall %s from %s, and suspend %s", detail.Name, detail.Namespace, id)
	}
	return out, nil
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
		return helm.Revision{}, refuse(ErrNotFound, "there is no revision %d", number)
	}
	return helm.Revision{}, refuse(ErrConflict, "there is no earlier revision to roll back to")
}

// doHelmTask does what was asked for by hand.
func (e *Engine) doHelmTask(ctx context.Context, job *releaseJob, tell func(release.Progress)) {
	t := job.task
	both := func(p release.Progress) {
		tell(p)
		t.say(p)
	}
	before := job.newest(ctx)
	lift := func() {}
	if t.op.Kind != HelmTest {
		var err error
		if lift, err = e.suspendFor(job.id, t.op); err != nil {
			e.endTask(job, err)
			return
		}
	}
	var err error
	t.text, err = job.operate(ctx, both)
	job.host.Observer.Changed(job.ref())
	t.revision = job.newest(ctx)
	if err != nil && before != nil && t.revision != nil && *before == *t.revision {
		lift() // nothing was done that a run could undo
	}
	e.endTask(job, err)
}

// newest is the newest revision as the cluster tells it, nil if it does not.
func (j *releaseJob) newest(ctx context.Context) *helm.Revision {
	rev, err := j.host.Observer.Fresh(ctx, j.ref())
	if err != nil {
		return nil
	}
	return &rev
}

// suspendFor keeps the next runs from undoing what a person does, also those of
// the next process. lift takes that back.
func (e *Engine) suspendFor(id string, op HelmOperation) (lift func(), err error) {
	reason := fmt.Sprintf("%s by hand", op.Kind)
	if op.Reason != "" {
		reason += ": " + op.Reason
	}
	s := &Suspension{By: op.By, Reason: reason, Since: now()}
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

// operate does the job's task, and says what it did.
func (j *releaseJob) operate(ctx context.Context, tell func(release.Progress)) (string, error) {
	op, ref := j.task.op, j.ref()
	timeout := op.Timeout
	if timeout == 0 {
		timeout = j.declared.Spec.Timeout
	}
	emit := func(phase release.Phase) func(helm.Event) {
		return func(ev helm.Event) { tell(release.Progress{Phase: phase, Text: ev.Message, Event: ev}) }
	}
	switch op.Kind {
	case HelmRollback:
		rev, err := j.host.Helm.Rollback(ctx, helm.Rollback{
			Ref: ref, To: op.Revision, Timeout: timeout, Wait: j.waitFor(op), WaitForJobs: j.declared.Spec.WaitForJobs && !op.NoWait,
			DisableHooks: op.DisableHooks, Force: op.Force, MaxHistory: j.declared.Spec.MaxHistory,
		}, emit(release.PhaseRollingBack))
		return fmt.Sprintf("rolled back to %s, which is revision %d", rev.Chart, rev.Number), err
	case HelmTest:
		err := j.host.Helm.Test(ctx, helm.Test{Ref: ref, Timeout: timeout, Names: op.Tests, Cleanup: j.declared.Spec.Test != nil && j.declared.Spec.Test.Cleanup},
			emit(release.PhaseTesting))
		return "the tests have passed", err
	}
	err := j.host.Helm.Uninstall(ctx, helm.Uninstall{
		Ref: ref, KeepHistory: op.KeepHistory, Timeout: timeout, Wait: !op.NoWait, DisableHooks: op.DisableHooks,
	}, emit(release.PhaseUninstalling))
	return fmt.Sprintf("uninstalled %s from %s", ref.Name, ref.Namespace), err
}

// ref is the release that the job is about.
func (j *releaseJob) ref() helm.ReleaseRef {
	ref, _ := j.declared.Release(j.record)
	return ref
}

func (j *releaseJob) waitFor(op HelmOperation) helm.Wait {
	if op.NoWait {
		return helm.WaitHooks
	}
	return j.declared.Spec.Wait
}

// endTask ends an operation by hand. After a test, and after what has failed, the
// release is looked at again.
func (e *Engine) endTask(job *releaseJob, err error) {
	t := job.task
	e.mu.Lock()
	e.releases.counted(string(t.op.Kind), err != nil)
	n := e.nodes[job.id]
	if n != nil && n.release != nil {
		n.release.endRun = nil
		n.release.found(t)
		if err != nil {
			e.publish(n, eventNotOperated, fmt.Sprintf("%s by %s failed: %s", t.op.Kind, t.op.By, oneLine(err)))
		} else {
			e.publish(n, eventOperated, strings.TrimSpace(t.text))
		}
		if t.op.Kind == HelmUninstall && err == nil {
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
	t.finish(err)
}

// found takes note of what an operation by hand has left.
func (r *releaseNode) found(t *helmTask) {
	if r.report == nil || t.revision == nil {
		return
	}
	report := *r.report
	if report.Revision = *t.revision; report.Revision.Number == 0 {
		report.State, report.Reason = release.Absent, "It was uninstalled by hand."
	} else if t.op.Kind == HelmRollback {
		report.State, report.Reason = release.OutOfSync, "It was rolled back by hand."
	}
	r.report = &report
}

// operationTimeout bounds what a person waits for an answer about a release.
const operationTimeout = 30 * time.Second
