package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/updates/rules"
)

// openUpdates opens what changes images and policies in git. Nothing is
// committed before startUpdates.
func (e *Engine) openUpdates(cfg *config.Config) error {
	u, err := updates.New(updates.Options{
		Site: site{e}, Config: cfg, Store: e.store, Scanner: e.imaging.scanner, Limiter: e.imaging.limiter,
		Renders: e.renders, WorkDir: e.workDir(), Pool: e.pool, Logger: e.log,
	})
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	e.onClose(u.Close)
	e.updates = u
	return nil
}

// startUpdates goes on with what a former process has left.
func (e *Engine) startUpdates() {
	if e.updates == nil {
		return
	}
	e.updates.Start()
	e.followRollouts()
}

// configureUpdates takes up what a configuration says of images, and has every
// automation look.
func (e *Engine) configureUpdates(c *candidate) {
	if e.updates == nil {
		return
	}
	e.updates.Configure(c.cfg)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookSoon("", sched.Webhook)
}

// setup is what the running configuration says about images.
func (e *Engine) setup() *rules.Setup {
	if e.updates == nil {
		return &rules.Setup{}
	}
	return e.updates.Setup()
}

// Release changes the images of workloads in git, see updates.Updater.
func (e *Engine) Release(ctx context.Context, req jobs.ReleaseRequest) (jobs.Job, error) {
	if err := e.checkAlive(); err != nil {
		return jobs.Job{}, err
	}
	return e.updates.Release(ctx, req)
}

// Policy changes the policies of workloads in git, in the way of Release.
func (e *Engine) Policy(ctx context.Context, req jobs.PolicyRequest) (jobs.Job, error) {
	if err := e.checkAlive(); err != nil {
		return jobs.Job{}, err
	}
	return e.updates.Policy(ctx, req)
}

// Job returns the job with the id, of which the beginning is enough, in any case.
func (e *Engine) Job(id string) (jobs.Job, error) {
	if err := e.checkAlive(); err != nil {
		return jobs.Job{}, err
	}
	j, _, err := e.updates.Job(id)
	return j, err
}

// Jobs returns the jobs that are remembered, the newest first.
func (e *Engine) Jobs() []jobs.Job {
	if e.checkAlive() != nil {
		return []jobs.Job{}
	}
	return e.updates.Jobs()
}

// WaitJob waits until the job has ended and, with applied, until the syncs that
// it concerns have applied its commits or later ones. A commit to a branch is
// not waited for.
func (e *Engine) WaitJob(ctx context.Context, id string, applied bool) (jobs.Job, error) {
	for {
		e.mu.Lock()
		nodes, alive := e.changed, e.alive
		e.mu.Unlock()
		if !alive {
			return jobs.Job{}, errStopping
		}
		shown, changed, err := e.updates.Job(id)
		if err != nil {
			return jobs.Job{}, err
		}
		id = shown.ID
		if shown.Ended() && (!applied || !slices.ContainsFunc(shown.Commits, func(c jobs.Commit) bool { return !c.Applied && c.Branch == "" })) {
			return shown, nil
		}
		select {
		case <-nodes:
		case <-changed:
		case <-ctx.Done():
			return shown, context.Cause(ctx)
		}
	}
}

// WhyImages tells of each container of a workload which tags may replace its
// image, and what holds them back. A workload that several syncs declare is
// there once for each.
func (e *Engine) WhyImages(ctx context.Context, req updates.WhyImagesRequest) ([]updates.WhyImage, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	return e.updates.WhyImages(ctx, req)
}

// Quarantined returns the images that automation does not roll out, ordered by
// repository and tag.
func (e *Engine) Quarantined() []gate.Quarantine {
	if e.updates == nil {
		return []gate.Quarantine{}
	}
	return e.updates.Quarantined()
}

// Unquarantine lets automation roll out what it kept away, and returns that.
func (e *Engine) Unquarantine(_ context.Context, req updates.UnquarantineRequest) ([]gate.Quarantine, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	return e.updates.Unquarantine(req)
}

// UpdateMetrics are the figures of what is written to git.
func (e *Engine) UpdateMetrics() updates.Metrics {
	if e.updates == nil {
		return updates.Metrics{}
	}
	return e.updates.Metrics()
}

// pendingCommits tells what has not reached its repository yet.
func (e *Engine) pendingCommits() []updates.PendingCommit {
	if e.updates == nil {
		return nil
	}
	return e.updates.Pending()
}
