package engine

import (
	"context"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release/declare"
)

// voiceOf has the resource speak that d, a declaration of n, is of; it is nil if
// d is of none. e.mu is held.
func (e *Engine) voiceOf(n *node, d declare.Declaration) *resources.Voice {
	if f := e.followed[d.Applier]; f != nil && d.Resource != nil {
		return f.writer.Voice(n.id, *d.Resource, n.suspension.shown(), now())
	}
	return nil
}

// tellResource has the resource that a job is for speak.
func (e *Engine) tellResource(job *releaseJob, say func(*resources.Voice)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[job.id]; n != nil {
		say(e.voiceOf(n, job.declared))
	}
}

// tellRemoval has the resource that a job removes the release of say so: it goes
// only when that has. err is why it cannot. e.mu is held.
func (e *Engine) tellRemoval(job *releaseJob, err error) {
	n := e.nodes[job.id]
	if n == nil || job.leaving.Keep {
		return
	}
	voice := e.voiceOf(n, job.declared)
	if err != nil {
		voice.Failed(err)
		return
	}
	text := "its release is being uninstalled, since " + job.leaving.Why
	e.tellWaits(n, text)
	if n.view.Failures == 0 {
		voice.Removing(text)
	}
}

// holdResource keeps the resource of a job until its release is uninstalled.
func (e *Engine) holdResource(ctx context.Context, job *releaseJob) error {
	if job.declared.Resource == nil {
		return nil
	}
	return resources.Hold(ctx, job.keeper, *job.declared.Resource)
}

// releaseResource lets the resource of a job go, for which text was done.
func (e *Engine) releaseResource(ctx context.Context, job *releaseJob, text string) error {
	r := job.declared.Resource
	if r == nil || !job.leaving.Resource {
		return nil
	}
	e.tellResource(job, func(v *resources.Voice) { v.Removed(job.leaving.Why, text) })
	return resources.Free(ctx, job.keeper, *r)
}
