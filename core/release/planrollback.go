package release

import (
	"context"
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// CanPlanRollback reports whether it can be told what a rollback would change.
func (h *Host) CanPlanRollback() bool {
	_, plans := h.Helm.(helm.RollbackPlanner)
	_, reads := h.Helm.(helm.Reader)
	return plans && reads && h.can(helm.CanPlanRollback) && h.can(helm.CanRead)
}

// PlanRollback tells what a rollback would change, and which revision it would
// return to. secrets are the JSON pointers of values that are not to be shown, in
// whatever the two revisions were made of: "" is all of them. h must be able to
// tell, see Host.CanPlanRollback.
func (r *Runner) PlanRollback(ctx context.Context, h Host, back helm.Rollback, secrets []string) ([]helm.Change, helm.Revision, error) {
	n := r.begin(&Spec{Ref: back.Ref}, &h, Record{}, nil)
	defer n.end()
	if len(secrets) > 0 {
		for _, number := range []int{0, back.To} {
			texts, err := h.textsAt(ctx, back.Ref, number, secrets)
			if err != nil {
				return nil, helm.Revision{}, fmt.Errorf("what revision %d was made of: %w", number, err)
			}
			n.hide(texts...)
		}
	}
	var changes []helm.Change
	to, err := h.Helm.(helm.RollbackPlanner).PlanRollback(ctx, back, func(c helm.Change) { changes = append(changes, n.cleanChange(c)) })
	return changes, n.cleanRevision(to), n.told(err)
}
