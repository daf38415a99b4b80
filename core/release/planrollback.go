package release

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
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
			content, err := h.Helm.(helm.Reader).Content(ctx, back.Ref, number)
			if err != nil {
				return nil, helm.Revision{}, fmt.Errorf("what revision %d was made of: %w", number, err)
			}
			n.hideIn(content.Values, secrets)
		}
	}
	var changes []helm.Change
	to, err := h.Helm.(helm.RollbackPlanner).PlanRollback(ctx, back, func(c helm.Change) { changes = append(changes, n.cleanChange(c)) })
	return changes, n.cleanRevision(to), n.told(err)
}

// hideIn hides the values at some places of all that a revision was made of.
func (n *run) hideIn(all secret.Secret, pointers []string) {
	v, err := values.Parse([]byte(all.Reveal()))
	if err != nil { // JSON that Helm has recorded
		n.hide(all.Reveal())
		return
	}
	for _, pointer := range pointers {
		n.hide(textsIn(valueAt(v, pointer))...)
	}
}

// valueAt is the value that a JSON pointer of names leads to, nil if there is
// none.
func valueAt(v any, pointer string) any {
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return v
}
