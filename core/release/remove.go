package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Removal is the end of a release whose declaration has gone.
type Removal struct {
	Owner     string
	Ref       helm.ReleaseRef
	Others    []helm.ReleaseRef // that may be there as well, see Record.Others
	Uninstall Uninstall
}

// PlanRemoval tells what Remove would do, and why: a sentence without its end.
func (r *Runner) PlanRemoval(ctx context.Context, m Removal, h Host, why string) (Plan, error) {
	n := r.begin(&Spec{Owner: m.Owner, Ref: m.Ref, Uninstall: m.Uninstall}, &h, Record{}, nil)
	defer n.end()
	name := refString(m.Ref)
	if m.Ref.Name == "" {
		return Plan{State: Absent, Action: ActNone, Reason: why + ". It has made no release."}, nil
	}
	rev, err := h.Observer.Fresh(ctx, m.Ref)
	switch {
	case err != nil:
		return Plan{}, n.told(fmt.Errorf("release %s: %w", name, err))
	case !exists(rev):
		return Plan{State: Absent, Action: ActNone, Reason: fmt.Sprintf("%s. There is no release %s any more.", why, name)}, nil
	case rev.Owner != m.Owner:
		return Plan{State: Unmanaged, Action: ActNone, Reason: fmt.Sprintf("%s. Release %s is not of it, and stays.", why, name)}, nil
	}
	p := Plan{State: OutOfSync, Action: ActUninstall, Reason: fmt.Sprintf("%s, so release %s is uninstalled.", why, name)}
	reader, ok := h.Helm.(helm.Reader)
	if !ok || !h.can(helm.CanRead) {
		p.Reason += " What that deletes cannot be told: this plugin is too old for that."
		return p, nil
	}
	content, err := reader.Content(ctx, m.Ref, rev.Number)
	if err != nil {
		return Plan{}, n.told(fmt.Errorf("what release %s consists of: %w", name, err))
	}
	p.Changes = removed(content, m.Ref.Namespace)
	return p, nil
}

// Remove uninstalls a release of m.Owner. One that does not exist, or belongs to
// somebody else by now, is left alone: that is no error, and removed is false.
// It may be called again after any failure.
func (r *Runner) Remove(ctx context.Context, m Removal, h Host, tell func(Progress)) (removed bool, err error) {
	if m.Ref.Name == "" { // nothing was ever installed
		return false, nil
	}
	for _, ref := range append([]helm.ReleaseRef{m.Ref}, m.Others...) {
		s := &Spec{Owner: m.Owner, Ref: ref, Uninstall: m.Uninstall}
		one, err := r.remove(ctx, s, &h, tell)
		removed = removed || one
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (r *Runner) remove(ctx context.Context, s *Spec, h *Host, tell func(Progress)) (removed bool, err error) {
	n := r.begin(s, h, Record{}, tell)
	defer n.end()
	rev, err := h.Observer.Fresh(ctx, s.Ref)
	if err != nil {
		return false, n.told(fmt.Errorf("uninstall release %s: %w", refString(s.Ref), err))
	}
	gone := rev.Number == 0 || rev.Status == uninstalled && s.Uninstall.KeepHistory
	if gone || rev.Owner != s.Owner {
		return false, nil
	}
	n.seen.Revision = rev
	n.decision = Decision{State: InSync, Action: ActUninstall, Reason: "It is not declared any more."}
	err = n.take(ctx, s.Ref)
	if errors.Is(err, helm.ErrOwned) {
		return false, nil
	}
	return err == nil, n.told(err)
}
