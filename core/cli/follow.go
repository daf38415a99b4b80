package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// follow is how a job is followed to its end.
type follow struct {
	verbosity int
	timeout   time.Duration // for each step
	apply     bool          // also wait until its commits are applied
}

// followed is what came of a job.
type followed struct {
	job     jobs.Job
	applied bool // all its commits are, and there are some
}

// errLate says that a job, or the applying of its commits, takes longer than
// somebody wants to wait.
var errLate = errors.New("not within the time")

// follow waits for a job and shows what becomes of it, step by step; programs get
// the job at the end.
func (a *app) follow(ctx context.Context, client *api.Client, job jobs.Job, f follow) (followed, error) {
	p := a.progress()
	stop := a.tellScans(ctx, client, p)
	job, err := a.awaitEnd(ctx, client, job, f.timeout)
	stop()
	p.end()
	if err != nil {
		return followed{job: job}, err
	}
	if a.output.machine() {
		return a.followQuietly(ctx, client, job, f)
	}
	if err := writeEnded(a.Out, job, f.verbosity); err != nil {
		return followed{job: job}, err
	}
	failure := jobFailure(job)
	if failure == nil {
		a.tellHidden(job, f.verbosity)
	}
	if !f.apply || !rollsOut(job) {
		return followed{job: job}, failure
	}
	if toApply(job) {
		waiting := "Waiting for " + shortRevisions(job) + " to be applied ..."
		p.line(waiting, waiting)
		job, err = a.awaitApplied(ctx, client, job, f.timeout)
		p.end()
	}
	if errors.Is(err, errLate) {
		a.tellLate(job, f.timeout)
		return followed{job: job}, failure
	}
	if err == nil {
		err = a.writeApplied(job)
	}
	return followed{job: job, applied: !toApply(job)}, cmp.Or(failure, err)
}

// followQuietly is follow for programs: the job is all that they get.
func (a *app) followQuietly(ctx context.Context, client *api.Client, job jobs.Job, f follow) (followed, error) {
	if f.apply && toApply(job) {
		late, err := a.awaitApplied(ctx, client, job, f.timeout)
		if err != nil && !errors.Is(err, errLate) {
			return followed{job: job}, errors.Join(a.view(meant(job, f.verbosity), nil), err)
		}
		job = late
	}
	if err := a.view(meant(job, f.verbosity), nil); err != nil {
		return followed{job: job}, err
	}
	return followed{job: job, applied: rollsOut(job) && !toApply(job)}, jobFailure(job)
}

// awaitEnd waits until a job has ended; a dry run has.
func (a *app) awaitEnd(ctx context.Context, client *api.Client, job jobs.Job, timeout time.Duration) (jobs.Job, error) {
	if job.ID == "" || job.Ended() {
		return job, nil
	}
	job, err := awaitJob(ctx, client, job, false, timeout)
	switch {
	case err == nil:
		return job, nil
	case errors.Is(err, errLate):
		newer, why := lateBecause(ctx, client, job)
		job, err = newer, errors.New(joined(fmt.Sprintf("job %s is %s after %s, and goes on", job.ID, newer.State, timeout), why))
	case ctx.Err() != nil:
		err = fmt.Errorf("job %s goes on without you", job.ID)
	default:
		err = fmt.Errorf("job %s: %w", job.ID, err)
	}
	return job, withHint(err, "`sluice jobs show %s` shows what becomes of it; --wait waits for it", job.ID)
}

// lateBecause asks for a job once more, and for what keeps its changes from being
// pushed.
func lateBecause(ctx context.Context, client *api.Client, job jobs.Job) (newer jobs.Job, why string) {
	const patience = 2 * time.Second // of somebody who has waited already
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	newer, err := client.Job(ctx, job.ID)
	if err != nil {
		return job, err.Error()
	}
	return newer, firstLine(cmp.Or(newer.Waiting, newer.Error))
}

func (a *app) awaitApplied(ctx context.Context, client *api.Client, job jobs.Job, timeout time.Duration) (jobs.Job, error) {
	job, err := awaitJob(ctx, client, job, true, timeout)
	if err != nil && ctx.Err() != nil {
		return job, withHint(fmt.Errorf("%s is pushed, and will be applied without you", shortRevisions(job)), "`sluice jobs show %s` tells when", job.ID)
	}
	return job, err
}

// awaitJob waits for a job. A daemon that restarts meanwhile goes on with it, so
// it is asked again. errLate says that timeout has passed.
func awaitJob(ctx context.Context, client *api.Client, job jobs.Job, applied bool, timeout time.Duration) (jobs.Job, error) {
	const pause = 250 * time.Millisecond
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		newer, err := client.WaitJob(waiting, job.ID, applied)
		if newer.ID != "" {
			job = newer
		}
		switch {
		case err == nil:
			return job, nil
		case ctx.Err() != nil:
			return job, ctx.Err()
		case waiting.Err() != nil:
			return job, errLate
		case !errors.Is(err, api.ErrUnreachable) && !errors.Is(err, refusal.ErrConflict): // of one that stops
			return job, err
		}
		select {
		case <-time.After(pause):
		case <-waiting.Done():
		}
	}
}

// writeEnded shows what a job has done, or would do.
func writeEnded(w io.Writer, job jobs.Job, verbosity int) error {
	if err := writeResults(w, job, verbosity); err != nil || job.DryRun {
		return err
	}
	for _, c := range job.Commits {
		if _, err := fmt.Fprintf(w, "Commit pushed:\t%s\n", visible(commitText(job, c))); err != nil {
			return err
		}
	}
	if len(job.Commits) == 0 && job.State == jobs.Succeeded {
		return writeNothing(w)
	}
	return nil
}

// tellHidden says, where nothing changes, that there is more to see.
func (a *app) tellHidden(job jobs.Job, verbosity int) {
	skipped := 0
	for _, r := range job.Results {
		switch r.Status {
		case update.Success:
			return
		case update.Skipped:
			if !slices.Contains(job.Named, r.ID) { // else it is in the table
				skipped++
			}
		}
	}
	if skipped > 0 && verbosity == 0 {
		_, _ = fmt.Fprintf(a.Err, "%s left out: -v tells why\n", were(skipped, "workload"))
	}
}

// were counts things that something happened to.
func were(n int, thing string) string {
	if n == 1 {
		return plural(n, thing) + " was"
	}
	return plural(n, thing) + " were"
}

// commitText names a commit, and where it is if that could be several places.
func commitText(job jobs.Job, c jobs.Commit) string {
	var where []string
	if len(job.Commits) > 1 {
		where = append(where, c.Source)
	}
	if c.Branch != "" {
		where = append(where, "branch "+c.Branch)
	}
	if where == nil {
		return shortRevision(c.Revision)
	}
	return fmt.Sprintf("%s (%s)", shortRevision(c.Revision), strings.Join(where, ", "))
}

// shortRevision is a hash as git shortens it.
func shortRevision(id string) string {
	const short = 7
	if len(id) > short && !strings.ContainsAny(id, ":/@ ") {
		return id[:short]
	}
	return id
}

// shortRevisions are what is still to be applied.
func shortRevisions(job jobs.Job) string {
	var list []string
	for _, c := range job.Commits {
		if c.Branch == "" && !c.Applied {
			list = append(list, shortRevision(c.Revision))
		}
	}
	return strings.Join(list, ", ")
}

// rollsOut reports whether job has committed something that syncs apply. What
// went to another branch waits for people.
func rollsOut(job jobs.Job) bool {
	return slices.ContainsFunc(job.Commits, func(c jobs.Commit) bool { return c.Branch == "" })
}

// toApply reports whether some of that is still to be applied.
func toApply(job jobs.Job) bool { return shortRevisions(job) != "" }

func (a *app) writeApplied(job jobs.Job) error {
	for _, c := range job.Commits {
		if !c.Applied {
			continue
		}
		if _, err := fmt.Fprintf(a.Out, "Commit applied:\t%s\n", visible(commitText(job, c))); err != nil {
			return err
		}
	}
	if toApply(job) {
		a.tellLate(job, 0)
	}
	return nil
}

// tellLate says what to do about commits that are not applied yet.
func (a *app) tellLate(job jobs.Job, timeout time.Duration) {
	var syncs []string
	for _, c := range job.Commits {
		if c.Branch == "" && !c.Applied {
			for _, s := range c.Syncs {
				syncs = append(syncs, strings.TrimPrefix(s, "sync."))
			}
		}
	}
	late := "yet"
	if timeout > 0 {
		late = "within " + timeout.String()
	}
	_, _ = fmt.Fprintf(a.Err, "%s is pushed, but not applied %s. It may only take longer: `sluice jobs show %s --wait` waits for it.\n",
		visible(shortRevisions(job)), late, job.ID)
	if len(syncs) > 0 {
		_, _ = fmt.Fprintf(a.Err, "`sluice sync %s --wait` has it applied now, and `sluice why %s` tells what holds it back.\n", strings.Join(syncs, " "), syncs[0])
	}
}

// jobFailure is the error of a job that has not done, or not all, what it was
// asked for.
func jobFailure(job jobs.Job) error {
	switch {
	case job.Error != "":
		return errors.New(job.Error)
	case job.State == jobs.Failed:
		return fmt.Errorf("job %s has failed", job.ID)
	}
	return nil
}
