package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// newJob plans a dry run, or has the job done.
func (e *Engine) newJob(ctx context.Context, j storedJob) (Job, error) {
	j.Created, j.State, j.Results, j.Commits = now(), JobQueued, []update.Result{}, []Commit{}
	if j.DryRun {
		_, err := e.plan(ctx, &j)
		if ctx.Err() != nil {
			return Job{}, context.Cause(ctx)
		}
		j.finish(err)
		return j.Job, nil
	}
	j.ID = newID()
	if err := e.updating.jobs.put(j); err != nil {
		return Job{}, err
	}
	e.submitJob(j.ID)
	return j.Job, nil
}

// finish ends a job. One that has done nothing of what it was asked for by name
// has failed.
func (j *storedJob) finish(err error) {
	j.State, j.Finished, j.Changes, j.Open = JobSucceeded, now(), nil, nil
	switch {
	case err != nil:
		j.State, j.Error = JobFailed, oneLine(err)
	case len(j.Commits) == 0 && j.missed() != "" && !j.changes():
		j.State = JobFailed
	}
}

// changes reports whether something comes of the job.
func (j *storedJob) changes() bool {
	return slices.ContainsFunc(j.Results, func(r update.Result) bool { return r.Status == update.Success })
}

// jobKey begins the keys of jobs in the pool.
const jobKey = "job "

func (e *Engine) submitJob(id string) {
	e.pool.Submit(jobKey+id, sched.Interactive, func(ctx context.Context) { e.runJob(ctx, id) })
}

// runJob plans a job and hands its changes to the commit queue. The plan is on
// disk before, so that a restart submits the same again.
func (e *Engine) runJob(ctx context.Context, id string) {
	j, _, ok := e.updating.jobs.get(id)
	if !ok || j.State != JobQueued {
		return
	}
	changes, err := e.plan(ctx, &j)
	e.updating.jobs.doing(id, "")
	if ctx.Err() != nil {
		return // the next process does it
	}
	if err != nil || len(changes) == 0 {
		j.finish(err)
	} else {
		j.State, j.Changes = JobRunning, changes
		for _, c := range changes {
			j.Open = append(j.Open, c.ID)
		}
	}
	err = e.updating.jobs.put(j)
	if err == nil && len(changes) > 0 && j.State == JobRunning {
		err = e.updating.queue.Submit(changes...)
	}
	if err != nil && !errors.Is(err, writeback.ErrClosed) {
		e.log.ErrorContext(ctx, "a job cannot be done", "job", id, "err", err)
		j.finish(err)
		_ = e.updating.jobs.put(j) // the disk fails: it was said
	}
}

// resumeJobs goes on with the jobs that a former process has left.
func (e *Engine) resumeJobs() {
	for _, j := range e.updating.jobs.all() {
		switch j.State {
		case JobQueued:
			e.submitJob(j.ID)
		case JobRunning:
			// Those that the queue has are left out, those that it has written
			// already change nothing.
			open := slices.DeleteFunc(slices.Clone(j.Changes), func(c writeback.Change) bool { return !slices.Contains(j.Open, c.ID) })
			if err := e.updating.queue.Submit(open...); err != nil {
				e.log.Error("a job cannot go on", "job", j.ID, "err", err)
			}
		}
	}
}

// noteForJob takes over what became of one of the changes of a job.
func (e *Engine) noteForJob(c writeback.Change, o writeback.Outcome) {
	err := e.updating.jobs.change(c.Cause.Job, func(j *storedJob) bool { return j.note(c, o) })
	if err != nil {
		e.log.Error("what became of a job is not remembered", "job", c.Cause.Job, "err", err)
	}
}

// Job returns the job with the id, of which the beginning is enough, in any case.
func (e *Engine) Job(id string) (Job, error) {
	if err := e.checkAlive(); err != nil {
		return Job{}, err
	}
	id, err := e.updating.jobs.resolve(id)
	if err != nil {
		return Job{}, err
	}
	j, _, ok := e.updating.jobs.get(id)
	if !ok {
		return Job{}, noJob(id)
	}
	return e.showJob(j), nil
}

func noJob(id string) error { return refuse(ErrNotFound, "there is no job %q, or none any more", id) }

// Jobs returns the jobs that are remembered, the newest first.
func (e *Engine) Jobs() []Job {
	jobs := []Job{}
	if e.checkAlive() != nil {
		return jobs
	}
	for _, j := range e.updating.jobs.all() {
		jobs = append(jobs, e.showJob(j))
	}
	return jobs
}

// waitingFor says what keeps a job from getting on: what it is doing, or why its
// changes have not been pushed yet.
func (e *Engine) waitingFor(j storedJob) string {
	switch j.State {
	case JobQueued:
		return e.updating.jobs.does(j.ID)
	case JobRunning:
	default:
		return ""
	}
	var reasons []string
	for _, p := range e.pendingCommits() {
		concerns := slices.ContainsFunc(j.Changes, func(c writeback.Change) bool { return c.Source == p.Source && c.Branch == p.Branch })
		if concerns && p.Error != "" {
			reasons = append(reasons, p.Error)
		}
	}
	return strings.Join(reasons, "; ")
}

// showJob adds to a job what it waits for, and which of its commits have been
// applied.
func (e *Engine) showJob(j storedJob) Job {
	j.Waiting = e.waitingFor(j)
	e.mu.Lock()
	defer e.mu.Unlock()
	j.Commits = slices.Clone(j.Commits)
	for i, c := range j.Commits {
		j.Commits[i].Applied = c.Branch == ""
		for _, id := range c.Syncs {
			if !e.hasApplied(e.nodes[id], c.Revision) {
				j.Commits[i].Applied = false
			}
		}
	}
	return j.Job
}

// WaitJob waits until the job has ended and, with applied, until the syncs that
// it concerns have applied its commits or later ones. A commit to a branch is
// not waited for.
func (e *Engine) WaitJob(ctx context.Context, id string, applied bool) (Job, error) {
	id, err := e.updating.jobs.resolve(id)
	if err != nil {
		return Job{}, err
	}
	for {
		e.mu.Lock()
		nodes, alive := e.changed, e.alive
		e.mu.Unlock()
		if !alive {
			return Job{}, errStopping
		}
		j, jobs, ok := e.updating.jobs.get(id)
		if !ok {
			return Job{}, noJob(id)
		}
		shown := e.showJob(j)
		if shown.Ended() && (!applied || !slices.ContainsFunc(shown.Commits, func(c Commit) bool { return !c.Applied && c.Branch == "" })) {
			return shown, nil
		}
		select {
		case <-nodes:
		case <-jobs:
		case <-ctx.Done():
			return shown, context.Cause(ctx)
		}
	}
}
