package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// releaseJob is the input of one run of a release: everything that was decided
// under the lock.
type releaseJob struct {
	id       string
	declared releaseDeclaration
	record   release.Record
	host     release.Host
	keeper   applier.ResourceKeeper // nil where there is none
	slots    *slots
	at       map[string]string // revisions of the sources
	target   string
	task     *helmTask // by hand, instead of what is declared
	leaving  *leaving  // instead of what is declared, if not nil
	begins   bool      // the record is new, and nowhere on disk
	end      func(cause error)
}

// runRelease makes one release as it is declared, or does with it what somebody
// asked for.
func (e *Engine) runRelease(ctx context.Context, id string) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	job, ok := e.beginRelease(id, cancel)
	if !ok {
		return
	}
	err := sched.Park(ctx, func(ctx context.Context) error {
		leave, err := job.slots.enter(ctx)
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

// can reports whether the helm of the job has a capability.
func (j *releaseJob) can(capability string) bool { return j.host.Can == nil || j.host.Can(capability) }

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
	report, record := e.releases.runner.Run(ctx, job.declared.spec, job.host, job.record, tell)
	if ctx.Err() != nil {
		e.keepRecord(job, record)
		e.abandonRelease(job, context.Cause(ctx))
		return
	}
	e.endRelease(job, report, record)
}

// beginRecord makes sure that a process that is killed in the first run leaves
// behind what there is to uninstall, should the declaration be gone by then.
func (e *Engine) beginRecord(job *releaseJob) error {
	if !job.begins {
		return nil
	}
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		e.mu.Unlock()
		return errSuperseded
	}
	n.release.target = job.target
	change := releaseRecords.Change(job.id, n.release.stored())
	e.mu.Unlock()
	return e.store.Write([]state.Change{change})
}

// unreported is the report of a run that could not begin.
func unreported(err error) release.Report {
	return release.Report{State: release.Unknown, Action: release.ActNone, Reason: oneLine(err), Err: err, Error: err.Error()}
}

// beginRelease decides whether a release can run, and with what. end ends the
// run.
func (e *Engine) beginRelease(id string, end func(error)) (*releaseJob, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.release == nil {
		return nil, false // removed meanwhile
	}
	n.begin()
	r := n.release
	task := r.nextTask()
	job := &releaseJob{id: id, declared: r.declared, record: r.record, task: task, leaving: r.leaving, end: end}
	if !e.mayRun(n, job) {
		return nil, false
	}
	if by, lack := e.releaseObstacle(n, job.ends(), job.task != nil); by != nil {
		if by.isHelm() && !by.busy() && by.failure == nil {
			e.triggerLocked(by.id, sched.Interactive)
		}
		switch {
		case task == nil:
		case by.busy(): // about to open
			r.asked = slices.Insert(r.asked, 0, task)
		default:
			task.finish(fmt.Errorf("%s %s: %s", by.id, lack, by.view.Reason))
		}
		e.blocked(n, by, lack)
		return nil, false
	}
	h := e.nodes[r.declared.helm]
	job.host, job.slots, job.at, job.target = e.releaseHost(n, h), h.helm.slots, e.sourceRevisions(r.declared), e.targetOf(r.declared)
	if f := e.followed[r.declared.applier]; f != nil {
		job.keeper = f.keeper
	}
	e.changeTarget(n, job)
	if task == nil && job.leaving == nil {
		job.begins = !r.installed()
		r.record = r.record.Begin(r.declared.spec)
		job.record = r.record
	}
	job.host.Asked = e.oneShot()
	if r.forgive && task == nil {
		r.forgive, job.record, job.host.Asked = false, job.record.Forgive(), true
	}
	r.endRun = end
	n.set(Running, "looking at the release", "")
	e.nodeChanged()
	return job, true
}

// mayRun ends a run that is not to happen now, whatever others do. e.mu is held.
func (e *Engine) mayRun(n *node, job *releaseJob) bool {
	r := n.release
	switch {
	case job.task != nil:
	case r.leaving != nil && r.leaving.Held != "":
		n.view.Approval = r.leaving.Held
		e.succeeded(n, Waiting, r.leaving.reason(), "sluice approve "+quoted(n.id))
		return false
	case job.ends():
	case n.suspended() != nil:
		s := n.suspended()
		e.rest(n, Suspended, s.String(), resumeHint(s, n.id))
		return false
	case r.declared.err != nil:
		e.endInvalid(n, r.declared.err)
		return false
	case r.circle != "":
		e.endInvalid(n, fmt.Errorf("it depends on itself, in a circle: %s", r.circle))
		return false
	}
	return true
}

// releaseObstacle returns the node that n has to wait for and what that node
// lacks, nil if n can run: to its end, if ends, or by hand. e.mu is held.
func (e *Engine) releaseObstacle(n *node, ends, byHand bool) (by *node, lack string) {
	d := n.release.declared
	open := []string{d.helm}
	if !ends && d.applier != "" {
		open = append(open, d.applier)
	}
	for _, id := range open {
		if in := e.nodes[id]; in == nil {
			return &node{id: id}, "is not in the configuration"
		} else if in.handle == nil {
			return in, "is not open"
		}
	}
	if ends || byHand {
		return nil, ""
	}
	for _, id := range d.sources() {
		if src := e.nodes[id]; src != nil && src.source.tree == nil {
			return src, "has no revision yet"
		}
	}
	for _, id := range d.dependsOn {
		if dep := e.nodes[id]; dep == nil {
			return &node{id: id}, "does not exist"
		} else if !e.satisfied(n, dep) {
			return dep, "has not been applied"
		}
	}
	return nil, ""
}

// changeTarget forgets what is known of a release if its cluster is another one
// now: what was installed in the former stays there. e.mu is held.
func (e *Engine) changeTarget(n *node, job *releaseJob) {
	r := n.release
	if r.target == "" || r.target == job.target {
		return
	}
	if r.installed() && r.leaving == nil {
		e.publish(n, eventRemoved, "its cluster is configured anew: if it is another one, what was installed in the former stays there, where nothing manages it")
	}
	r.record, r.report, r.synced = release.Record{}, nil, ""
	job.record = r.record
}

// sourceRevisions are those that a run of d begins with. e.mu is held.
func (e *Engine) sourceRevisions(d releaseDeclaration) map[string]string {
	at := map[string]string{}
	for _, id := range d.sources() {
		if src := e.nodes[id]; src != nil {
			at[id] = src.source.revision.ID
		}
	}
	return at
}

// targetOf identifies the cluster of a release, without secrets: a record is
// good for the same one only. e.mu is held.
func (e *Engine) targetOf(d releaseDeclaration) string {
	h := e.nodes[d.helm]
	if h == nil || h.plugin == nil {
		return ""
	}
	if a := e.nodes[d.applier]; a != nil && a.plugin != nil {
		return fingerprint(a.plugin, h.plugin)
	}
	return fingerprint(h.plugin)
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
	e.tellResource(job, func(r resource.Resource, before resource.Status) resource.Status {
		return r.Progressed(before, p, now())
	})
}

// abandonRelease ends a run that was ended before its end: whoever did it knows
// what comes next.
func (e *Engine) abandonRelease(job *releaseJob, cause error) {
	if job.task != nil {
		job.task.finish(cause)
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
	changed := before == nil || report.Changed() || fingerprint(record) != fingerprint(r.record) || !sameOutcome(*before, report)
	shown := report
	if len(shown.Steps) == 0 && before != nil {
		shown.Steps = before.Steps // what was done last, people want to know for long
	}
	r.report, r.record, r.target, r.endRun = &shown, record, job.target, nil
	r.tried = maps.Clone(job.at)
	e.releases.count(report)
	e.tellSteps(n, report)
	e.concludeRelease(n, job, report)
	n.outcome.made = &report
	if report.Changed() {
		e.discoverSoon(job.declared.applier)
	}
	e.mu.Unlock()
	e.tellReport(job, report)
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
		e.failed(n, permanent(releaseError(report.Err)), "")
	case report.Action == release.ActWait:
		e.succeeded(n, Waiting, report.Reason, "the end of that")
	default:
		r.synced, r.ready, r.at = job.declared.key, now(), maps.Clone(job.at)
		e.succeeded(n, Ready, report.Reason, "")
		e.tellDependents(n.id)
	}
	if e.times != nil && !report.Again.IsZero() {
		e.times.Postpone(n.id, max(time.Until(report.Again), 0))
	}
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
	e.failed(n, permanent(releaseError(err)), "a change of "+n.release.declared.place)
	if w := e.writerOf(n.release.declared); w != nil {
		w.Update(n.id, *n.release.declared.resource, func(r resource.Resource, before resource.Status) resource.Status {
			return r.Failed(before, err, now())
		})
		w.Tell(n.release.declared.resource.FailureEvent(err))
	}
}

// releaseRevision is the chart that runs, for people.
func releaseRevision(report release.Report) string {
	c := report.Chart
	switch {
	case c.Name == "":
		return report.Revision.Chart
	case c.Revision != "" && c.Version == "":
		return c.Name + "@" + short(c.Revision)
	}
	return c.Name + "-" + c.Version
}

// sameOutcome reports whether two reports tell people the same.
func sameOutcome(a, b release.Report) bool {
	a.Steps, b.Steps = nil, nil
	return fingerprint(a) == fingerprint(b)
}
