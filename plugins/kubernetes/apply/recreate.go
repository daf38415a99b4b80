package apply

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// immutable handles an update that changes fields which the API server never
// lets change. Where it is allowed, an object that the owner has is deleted and
// made anew, but only after a dry run has shown that the new one can be made.
func (a *Applier) immutable(ctx context.Context, s *plan.Step, d *Done, changed []string, cause error) (*metav1.PartialObjectMetadata, error) {
	what, advice := s.Immutable(changed)
	if !a.Recreate || !s.Recreatable() {
		d.fail(what, advice)
		return nil, cause
	}
	if err := a.prove(ctx, s); err != nil {
		return nil, fmt.Errorf("%s; not recreated, because the new object would be rejected: %w", what, err)
	}
	if err := a.remove(ctx, s); err != nil {
		return nil, err
	}
	m, err := a.patch(ctx, s, false)
	d.Outcome, d.Reason = applier.Recreated, what
	return m, err
}

// prove creates the object under another name in a dry run.
func (a *Applier) prove(ctx context.Context, s *plan.Step) error {
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(s.Object.Body, &u.Object); err != nil {
		return err
	}
	u.SetName("")
	u.SetGenerateName("sluice-dry-run-")
	_, err := a.Dynamic.Resource(s.Object.Kind.GVR()).Namespace(s.Ref.Namespace).
		Create(ctx, u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: a.Manager})
	return err
}

// remove deletes the object with what it controls, and waits until it is gone.
func (a *Applier) remove(ctx context.Context, s *plan.Step) error {
	uid, foreground := types.UID(s.Live.UID), metav1.DeletePropagationForeground
	err := a.resource(s).Delete(ctx, s.Ref.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &foreground,
	})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	left := map[types.UID][]string{uid: nil}
	one := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", s.Ref.Name).String()}
	if err := cluster.WaitGone(ctx, a.resource(s), one, left); err != nil {
		return fmt.Errorf("waiting for its deletion (finalizers %v): %w", left[uid], err)
	}
	return nil
}
