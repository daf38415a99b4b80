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
