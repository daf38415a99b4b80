package updates

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// newJob plans a dry run, or has the job done.
func (u *Updater) newJob(ctx context.Context, j jobs.Stored) (jobs.Job, error) {
	j.Created, j.State, j.Results, j.Commits = now(), jobs.Queued, []update.Result{}, []jobs.Commit{}
	if j.DryRun {
		_, err := u.plan(ctx, &j)
		if ctx.Err() != nil {
			return jobs.Job{}, context.Cause(ctx)
		}
		j.Finish(err)
		return j.Job, nil
	}
	j.ID = newID()
	if err := u.jobs.Put(j); err != nil {
		return jobs.Job{}, err
	}
	u.submitJob(j.ID)
	return j.Job, nil
}

// jobKey begins the keys of jobs in the pool.
const jobKey = "job "

func (u *Updater) submitJob(id string) {
	u.pool.Submit(jobKey+id, sched.Interactive, func(ctx context.Context) { u.runJob(ctx, id) })
}

// runJob plans a job and hands its changes to the commit queue. The plan is on
// disk before, so that a restart submits the same again.
func (u *Updater) runJob(ctx context.Context, id string) {
	j, _, ok := u.jobs.Get(id)
	if !ok || j.State != jobs.Queued {
		return
	}
	changes, err := u.plan(ctx, &j)
	u.jobs.Doing(id, "")
	if ctx.Err() != nil {
		return // the next process does it
	}
	if err != nil || len(changes) == 0 {
		j.Finish(err)
	} else {
		j.State, j.Changes = jobs.Running, changes
		for _, c := range changes {
			j.Open = append(j.Open, c.ID)
		}
	}
	err = u.jobs.Put(j)
	if err == nil && len(changes) > 0 && j.State == jobs.Running {
		err = u.queue.Submit(changes...)
	}
	if err != nil && !errors.Is(err, writeback.ErrClosed) {
		u.log.ErrorContext(ctx, "a job cannot be done", "job", id, "err", err)
		j.Finish(err)
		_ = u.jobs.Put(j) // the disk fails: it was said
	}
}

// resumeJobs goes on with the jobs that a former process has left.
func (u *Updater) resumeJobs() {
	for _, j := range u.jobs.All() {
		switch j.State {
		case jobs.Queued:
			u.submitJob(j.ID)
		case jobs.Running:
			// Those that the queue has are left out, those that it has written
			// already change nothing.
			open := slices.DeleteFunc(slices.Clone(j.Changes), func(c writeback.Change) bool { return !slices.Contains(j.Open, c.ID) })
			if err := u.queue.Submit(open...); err != nil {
				u.log.Error("a job cannot go on", "job", j.ID, "err", err)
			}
		}
	}
}

// noteForJob takes over what became of one of the changes of a job.
func (u *Updater) noteForJob(c writeback.Change, o writeback.Outcome) {
	err := u.jobs.Change(c.Cause.Job, func(j *jobs.Stored) bool { return j.Note(c, o) })
	if err != nil {
		u.log.Error("what became of a job is not remembered", "job", c.Cause.Job, "err", err)
	}
}

// Job returns the job with the id, of which the beginning is enough, in any case,
// and a channel that is closed when a job changes.
func (u *Updater) Job(id string) (j jobs.Job, changed <-chan struct{}, err error) {
	id, err = u.jobs.Resolve(id)
	if err != nil {
		return jobs.Job{}, nil, err
	}
	stored, changed, ok := u.jobs.Get(id)
	if !ok {
		return jobs.Job{}, nil, jobs.None(id)
	}
	return u.showJob(stored), changed, nil
}

// Jobs returns the jobs that are remembered, the newest first.
func (u *Updater) Jobs() []jobs.Job {
	list := []jobs.Job{}
	for _, j := range u.jobs.All() {
		list = append(list, u.showJob(j))
	}
	return list
}

// waitingFor says what keeps a job from getting on: what it is doing, or why its
// changes have not been pushed yet.
func (u *Updater) waitingFor(j jobs.Stored) string {
	switch j.State {
	case jobs.Queued:
		return u.jobs.Does(j.ID)
	case jobs.Running:
	default:
		return ""
	}
	var reasons []string
	for _, p := range u.Pending() {
		concerns := slices.ContainsFunc(j.Changes, func(c writeback.Change) bool { return c.Source == p.Source && c.Branch == p.Branch })
		if concerns && p.Error != "" {
			reasons = append(reasons, p.Error)
		}
	}
	return strings.Join(reasons, "; ")
}

// showJob adds to a job what it waits for, and which of its commits have been
// applied.
func (u *Updater) showJob(j jobs.Stored) jobs.Job {
	j.Waiting = u.waitingFor(j)
	j.Commits = slices.Clone(j.Commits)
	for i, c := range j.Commits {
		j.Commits[i].Applied = c.Branch == ""
		for _, id := range c.Syncs {
			if !u.applied(id, c.Revision) {
				j.Commits[i].Applied = false
			}
		}
	}
	return j.Job
}
