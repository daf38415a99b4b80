package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// writerOf returns who writes the status of n, nil if nobody does. e.mu is held.
func (e *Engine) writerOf(d declare.Declaration) *resources.Writer {
	if f := e.followed[d.Applier]; f != nil && d.Resource != nil {
		return f.writer
	}
	return nil
}

// tellResource has the status of the resource that a job is for changed.
func (e *Engine) tellResource(job *releaseJob, change func(resource.Resource, resource.Status) resource.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, w := e.nodes[job.id], e.writerOf(job.declared)
	if n == nil || w == nil {
		return
	}
	w.Update(job.id, *job.declared.Resource, func(r resource.Resource, before resource.Status) resource.Status {
		after := change(r, before)
		after.Suspended = n.suspension.shown()
		return after
	})
}

// tellReport writes what a run has come to.
func (e *Engine) tellReport(job *releaseJob, report release.Report) {
	e.tellResource(job, func(r resource.Resource, before resource.Status) resource.Status {
		return r.Reported(before, report, now())
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.writerOf(job.declared)
	if w == nil {
		return
	}
	if ev, ok := job.declared.Resource.EventOf(report); ok {
		w.Tell(ev)
	}
}

// tellRemoval has the resource that a job removes the release of say so: it goes
// only when that has. err is why it cannot. e.mu is held.
func (e *Engine) tellRemoval(job *releaseJob, err error) {
	w, n := e.writerOf(job.declared), e.nodes[job.id]
	if w == nil || n == nil || job.leaving.Keep {
		return
	}
	r := job.declared.Resource
	if err == nil {
		text := "its release is being uninstalled, since " + job.leaving.Why
		e.tellWaits(n, text)
		if n.view.Failures == 0 {
			w.Tell(applier.ResourceEvent{Ref: r.Ref, UID: r.UID, Reason: "ReleaseRemoval", Message: text})
		}
		return
	}
	w.Update(job.id, *r, func(r resource.Resource, before resource.Status) resource.Status { return r.Failed(before, err, now()) })
	w.Tell(r.FailureEvent(err))
}

// holdResource keeps the resource of a job until its release is uninstalled.
func (e *Engine) holdResource(ctx context.Context, job *releaseJob) error {
	r := job.declared.Resource
	if r == nil || r.Finalized {
		return nil
	}
	_, err := job.keeper.PatchResource(ctx, applier.ResourcePatch{Ref: r.Ref, UID: r.UID, AddFinalizer: resource.Finalizer})
	if err != nil {
		return fmt.Errorf("hold the resource until the release is uninstalled: %w", err)
	}
	return nil
}

// releaseResource lets the resource of a job go, for which text was done.
func (e *Engine) releaseResource(ctx context.Context, job *releaseJob, text string) error {
	r := job.declared.Resource
	if r == nil || !job.leaving.Resource {
		return nil
	}
	e.mu.Lock()
	if w := e.writerOf(job.declared); w != nil {
		w.Forget(job.id)
		w.Tell(applier.ResourceEvent{Ref: r.Ref, UID: r.UID, Reason: "ReleaseRemoved", Message: job.leaving.Why + ": " + text})
	}
	e.mu.Unlock()
	_, err := job.keeper.PatchResource(ctx, applier.ResourcePatch{Ref: r.Ref, UID: r.UID, RemoveFinalizer: resource.Finalizer})
	if errors.Is(err, applier.ErrNoResource) {
		return nil
	}
	return err
}
