package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// jobRecords are the jobs that people have asked for.
const jobRecords state.Kind[storedJob] = "job"

// jobsKept is how many jobs that are over are remembered.
const jobsKept = 100

// storedJob is a job with what it needs to go on after a restart. It becomes a
// plan, which is kept with it, and then changes of the commit queue; these end
// each with an outcome.
type storedJob struct {
	Job
	Release *ReleaseRequest    `json:"release,omitempty"`
	Policy  *PolicyRequest     `json:"policy,omitempty"`
	Changes []writeback.Change `json:"changes,omitempty"` // of the plan
	Open    []string           `json:"open,omitempty"`    // ids of changes without an outcome
	Failed  bool               `json:"failed,omitempty"`  // an edit was not written
}

// jobBook holds the jobs. Its methods are safe for concurrent use.
type jobBook struct {
	store *state.Store

	mu      sync.Mutex
	jobs    map[string]storedJob
	changed chan struct{} // closed and replaced when a job changes
}

func openJobBook(store *state.Store) (*jobBook, error) {
	b := &jobBook{store: store, jobs: map[string]storedJob{}, changed: make(chan struct{})}
	ids, err := jobRecords.IDs(store)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		j, _, err := jobRecords.Get(store, id)
		if err != nil {
			return nil, err
		}
		b.jobs[id] = j
	}
	return b, nil
}

// put writes a job; it is on disk when put returns. The oldest of too many that
// are over are forgotten.
func (b *jobBook) put(j storedJob) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.write(j)
}

// change has do change a job, unless it reports that there is nothing to
// change, and writes it.
func (b *jobBook) change(id string, do func(j *storedJob) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok := b.jobs[id]
	if !ok || !do(&j) {
		return nil
	}
	return b.write(j)
}

// write puts a job on disk and then in its place. b.mu is held.
func (b *jobBook) write(j storedJob) error {
	changes := []state.Change{jobRecords.Change(j.ID, j)}
	for _, old := range b.surplus(j) {
		changes = append(changes, jobRecords.Removal(old))
		defer delete(b.jobs, old)
	}
	if err := b.store.Write(changes); err != nil {
		return err
	}
	b.jobs[j.ID] = j
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// surplus are the jobs to be forgotten when there is j. b.mu is held.
func (b *jobBook) surplus(j storedJob) []string {
	var over []storedJob
	for id, other := range b.jobs {
		if other.Ended() && id != j.ID {
			over = append(over, other)
		}
	}
	slices.SortFunc(over, newestFirst)
	var ids []string
	for _, old := range over[min(len(over), jobsKept):] {
		ids = append(ids, old.ID)
	}
	return ids
}

func newestFirst(a, b storedJob) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
}

// get returns a job, and a channel that is closed when one changes.
func (b *jobBook) get(id string) (j storedJob, changed <-chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok = b.jobs[id]
	return j, b.changed, ok
}

// all returns the jobs, the newest first.
func (b *jobBook) all() []storedJob {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.jobs), newestFirst)
}

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

// finish ends a job.
func (j *storedJob) finish(err error) {
	j.State, j.Finished, j.Changes, j.Open = JobSucceeded, now(), nil, nil
	if err != nil {
		j.State, j.Error = JobFailed, oneLine(err)
	}
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

// note takes over the outcome of a change. It reports whether it is news. What
// others may read is not changed, but replaced.
func (j *storedJob) note(c writeback.Change, o writeback.Outcome) bool {
	i := slices.Index(j.Open, c.ID)
	if i < 0 {
		return false
	}
	j.Open = slices.Delete(slices.Clone(j.Open), i, i+1)
	j.Results = slices.Clone(j.Results)
	j.Error = cmp.Or(j.take(c, o), j.Error)
	if o.Revision.ID != "" && !o.Unchanged {
		j.Commits = withCommit(j.Commits, c, o.Revision.ID)
	}
	if len(j.Open) == 0 {
		j.finish(nil)
		if len(j.Commits) == 0 && j.Failed {
			j.State = JobFailed
		}
	}
	return true
}

// take puts the errors of a change into the results of the job, and returns one
// that tells about all.
func (j *storedJob) take(c writeback.Change, o writeback.Outcome) string {
	failed := 0
	first := o.Err
	for i, ed := range c.Edits {
		if written(o, i) {
			continue
		}
		text := whyNot(o, i)
		failed++
		j.Failed = true
		first = cmp.Or(first, text)
		for k, r := range j.Results {
			if r.ID == ed.Workload && r.Sync == c.Sync {
				j.Results[k].Status, j.Results[k].Reason = update.Failed, text
			}
		}
	}
	if failed > 1 && o.Err == "" {
		return fmt.Sprintf("%d changes were not written, the first: %s", failed, first)
	}
	return first
}

// withCommit adds the revision that holds a change to commits.
func withCommit(commits []Commit, c writeback.Change, revision string) []Commit {
	commits = slices.Clone(commits)
	for i, known := range commits {
		if known.Source == c.Source && known.Branch == c.Branch && known.Revision == revision {
			commits[i].Syncs = append(slices.Clone(known.Syncs), c.Sync)
			return commits
		}
	}
	return append(commits, Commit{Source: c.Source, Revision: revision, Branch: c.Branch, Syncs: []string{c.Sync}})
}

// Job returns the job with the id.
func (e *Engine) Job(id string) (Job, error) {
	if err := e.checkAlive(); err != nil {
		return Job{}, err
	}
	j, _, ok := e.updating.jobs.get(id)
	if !ok {
		return Job{}, refuse(ErrNotFound, "there is no job %q, or none any more", id)
	}
	return e.showJob(j), nil
}

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

// showJob adds to a job which of its commits have been applied.
func (e *Engine) showJob(j storedJob) Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.Commits = slices.Clone(j.Commits)
	for i, c := range j.Commits {
		j.Commits[i].Applied = c.Branch == ""
		for _, id := range c.Syncs {
			if n := e.nodes[id]; n != nil && n.sync != nil && !e.hasApplied(n, c.Revision) {
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
	for {
		e.mu.Lock()
		nodes, alive := e.changed, e.alive
		e.mu.Unlock()
		if !alive {
			return Job{}, errStopping
		}
		j, jobs, ok := e.updating.jobs.get(id)
		if !ok {
			return Job{}, refuse(ErrNotFound, "there is no job %q, or none any more", id)
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
