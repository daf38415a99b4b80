package pluginhost

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Helm is a helm whose words about releases are free of known secrets: charts
// print values into notes, and targets repeat them in complaints. What a
// release was made of (Content) is a secret as a whole and left as it is.
type Helm struct {
	*client.Helm
	scrub *Scrubber
}

var _ interface {
	helm.Helm
	helm.Lister
	helm.Reader
	helm.Comparer
	helm.RollbackPlanner
} = (*Helm)(nil)

// Plan implements helm.Helm.
func (h *Helm) Plan(ctx context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	rendered, err := h.Helm.Plan(ctx, r, h.changes(emit))
	return h.rendered(rendered), err
}

// Template implements helm.Helm.
func (h *Helm) Template(ctx context.Context, r helm.Release, out string) (helm.Rendered, error) {
	rendered, err := h.Helm.Template(ctx, r, out)
	return h.rendered(rendered), err
}

// Upgrade implements helm.Helm.
func (h *Helm) Upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	rev, err := h.Helm.Upgrade(ctx, r, h.events(emit))
	return h.revision(rev), err
}

// Rollback implements helm.Helm.
func (h *Helm) Rollback(ctx context.Context, r helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	rev, err := h.Helm.Rollback(ctx, r, h.events(emit))
	return h.revision(rev), err
}

// PlanRollback implements helm.RollbackPlanner.
func (h *Helm) PlanRollback(ctx context.Context, r helm.Rollback, emit func(helm.Change)) (helm.Revision, error) {
	rev, err := h.Helm.PlanRollback(ctx, r, h.changes(emit))
	return h.revision(rev), err
}

// Uninstall implements helm.Helm.
func (h *Helm) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	return h.Helm.Uninstall(ctx, u, h.events(emit))
}

// Test implements helm.Helm.
func (h *Helm) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error {
	return h.Helm.Test(ctx, t, h.events(emit))
}

// History implements helm.Helm.
func (h *Helm) History(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	return h.Helm.History(ctx, ref, func(rev helm.Revision) { emit(h.revision(rev)) })
}

// Status implements helm.Helm.
func (h *Helm) Status(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	rev, err := h.Helm.Status(ctx, ref)
	return h.revision(rev), err
}

// Unlock implements helm.Helm.
func (h *Helm) Unlock(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	rev, err := h.Helm.Unlock(ctx, ref)
	return h.revision(rev), err
}

// Compare implements helm.Comparer.
func (h *Helm) Compare(ctx context.Context, c helm.Comparison, emit func(helm.Change)) error {
	return h.Helm.Compare(ctx, c, h.changes(emit))
}

func (h *Helm) changes(emit func(helm.Change)) func(helm.Change) {
	return func(c helm.Change) {
		c.Diff, c.Problem = h.scrub.Scrub(c.Diff), h.scrub.Scrub(c.Problem)
		emit(c)
	}
}

func (h *Helm) events(emit func(helm.Event)) func(helm.Event) {
	return func(ev helm.Event) {
		ev.Message = h.scrub.Scrub(ev.Message)
		emit(ev)
	}
}

func (h *Helm) revision(rev helm.Revision) helm.Revision {
	rev.Message = h.scrub.Scrub(rev.Message)
	return rev
}

func (h *Helm) rendered(r helm.Rendered) helm.Rendered {
	r.Notes = h.scrub.Scrub(r.Notes)
	return r
}
