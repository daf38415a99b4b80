package pluginhost

import (
	"context"
	"encoding/json"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Applier is an applier whose texts about objects are free of known secrets:
// a target may well repeat a value in its complaint about it.
type Applier struct {
	*client.Applier
	scrub *Scrubber
}

var (
	_ applier.Applier        = (*Applier)(nil)
	_ applier.ResourceKeeper = (*Applier)(nil)
)

// Plan implements applier.Applier.
func (a *Applier) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	return a.Applier.Plan(ctx, set, func(c applier.Change) {
		c.Reason, c.Diff, c.Diagnostic = a.scrub.Scrub(c.Reason), a.scrub.Scrub(c.Diff), a.diagnostic(c.Diagnostic)
		emit(c)
	})
}

// Apply implements applier.Applier.
func (a *Applier) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	return a.Applier.Apply(ctx, set, a.results(emit))
}

// Delete implements applier.Applier.
func (a *Applier) Delete(ctx context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	return a.Applier.Delete(ctx, del, a.results(emit))
}

// Status implements applier.Applier.
func (a *Applier) Status(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return a.Applier.Status(ctx, owner, a.statuses(emit))
}

// Watch implements applier.Applier.
func (a *Applier) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return a.Applier.Watch(ctx, owner, a.statuses(emit))
}

func (a *Applier) results(emit func(applier.Result)) func(applier.Result) {
	return func(r applier.Result) {
		r.Reason, r.Diagnostic = a.scrub.Scrub(r.Reason), a.diagnostic(r.Diagnostic)
		emit(r)
	}
}

func (a *Applier) statuses(emit func(applier.ObjectStatus)) func(applier.ObjectStatus) {
	return func(s applier.ObjectStatus) {
		s.Message = a.scrub.Scrub(s.Message)
		emit(s)
	}
}

func (a *Applier) diagnostic(d *diag.Diagnostic) *diag.Diagnostic {
	if d == nil {
		return nil
	}
	return &a.scrub.Diags(diag.List{*d})[0]
}

// Follow implements applier.ResourceKeeper.
func (a *Applier) Follow(ctx context.Context, filter applier.ResourceFilter, emit func(applier.Resource)) error {
	return a.Applier.Follow(ctx, filter, func(r applier.Resource) {
		r.Problem = a.scrub.Scrub(r.Problem)
		emit(r)
	})
}

// PatchResource implements applier.ResourceKeeper. What goes into a status is
// for everybody to read.
func (a *Applier) PatchResource(ctx context.Context, patch applier.ResourcePatch) (applier.Resource, error) {
	if len(patch.Status) > 0 {
		patch.Status = json.RawMessage(a.scrub.Scrub(string(patch.Status)))
	}
	return a.Applier.PatchResource(ctx, patch)
}

// TellResource implements applier.ResourceKeeper.
func (a *Applier) TellResource(ctx context.Context, event applier.ResourceEvent) error {
	event.Message = a.scrub.Scrub(event.Message)
	return a.Applier.TellResource(ctx, event)
}
