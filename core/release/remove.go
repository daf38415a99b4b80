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
	Uninstall Uninstall
}

// Remove uninstalls a release of m.Owner. One that does not exist, or belongs to
// somebody else by now, is left alone: that is no error, and removed is false.
// It may be called again after any failure.
func (r *Runner) Remove(ctx context.Context, m Removal, h Host, tell func(Progress)) (removed bool, err error) {
	if m.Ref.Name == "" { // nothing was ever installed
		return false, nil
	}
	s := &Spec{Owner: m.Owner, Ref: m.Ref, Uninstall: m.Uninstall}
	n := r.begin(s, &h, Record{}, tell)
	defer n.end()
	rev, err := h.Observer.Fresh(ctx, m.Ref)
	if err != nil {
		return false, n.told(fmt.Errorf("uninstall release %s: %w", refString(m.Ref), err))
	}
	gone := rev.Number == 0 || rev.Status == uninstalled && m.Uninstall.KeepHistory
	if gone || rev.Owner != m.Owner {
		return false, nil
	}
	n.seen.Revision = rev
	n.decision = Decision{State: InSync, Action: ActUninstall, Reason: "It is not declared any more."}
	err = n.take(ctx, m.Ref)
	if errors.Is(err, helm.ErrOwned) {
		return false, nil
	}
	return err == nil, n.told(err)
}
