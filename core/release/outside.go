package release

import (
	"cmp"
	"context"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Guarded is h for what is done to its releases outside a run, by hand: an operation
// ends as soon as one of a run would, whoever does not answer, and where the process
// is killed before, the next one knows the lock that is left for our own.
func (r *Runner) Guarded(h Host) Host {
	h.Helm = &guarded{Helm: h.Helm, runner: r, host: h}
	return h
}

// guarded bounds and marks operations. What a plugin can beyond helm.Helm is not for
// those who have this.
type guarded struct {
	helm.Helm
	runner *Runner
	host   Host
}

func (g *guarded) Rollback(ctx context.Context, back helm.Rollback, emit func(helm.Event)) (rev helm.Revision, err error) {
	operation, cancel := bounded(ctx, cmp.Or(back.Timeout, DefaultTimeout))
	defer cancel()
	err = g.runner.marked(ctx, g.host, back.Ref, func() (err error) {
		rev, err = g.Helm.Rollback(operation, back, emit)
		return err
	})
	return rev, deadline.Because(operation, err)
}

func (g *guarded) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	operation, cancel := bounded(ctx, cmp.Or(u.Timeout, DefaultTimeout))
	defer cancel()
	err := g.runner.marked(ctx, g.host, u.Ref, func() error { return g.Helm.Uninstall(operation, u, emit) })
	return deadline.Because(operation, err)
}

func (g *guarded) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error { // locks nothing
	operation, cancel := bounded(ctx, cmp.Or(t.Timeout, DefaultTimeout))
	defer cancel()
	return deadline.Because(operation, g.Helm.Test(operation, t, emit))
}
