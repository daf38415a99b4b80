package apply

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/csaupgrade"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	unservedPause  = 100 * time.Millisecond // a kind that was just defined is served a moment later
	schemaTries    = 3                      // until the schema of a changed definition counts
	passingPause   = time.Second            // before a rejection is tried again that was none
	passingTries   = 15
	conflictsTaken = 3
)

// send applies one object and everything that belongs to it.
func (a *Applier) send(ctx context.Context, t *task, d *Done) {
	s := t.step
	if err := a.takeOver(ctx, s); err != nil {
		a.explain(s, d, fmt.Errorf("take over the fields of kubectl's client-side apply: %w", err))
		return
	}
	m, err := a.patch(ctx, s, t.fresh)
	if fields := cluster.ImmutableFields(err); len(fields) > 0 {
		m, err = a.immutable(ctx, s, d, fields, err)
	}
	if d.Outcome == applier.Failed {
		return
	}
	if err != nil {
		a.explain(s, d, err)
		return
	}
	d.Version = m.ResourceVersion
	d.Record = &inventory.Record{
		Ref: s.Ref, Resource: s.Object.Kind.Resource, UID: string(m.UID), Desired: s.Object.Hash, Owned: live.OwnedHash(m.ManagedFields, a.Manager),
	}
	if s.Object.Defines != nil {
		if err := a.established(ctx, s.Ref.Name); err != nil {
			d.fail("it was applied, but the API server does not serve it: "+err.Error(),
				"Look at its conditions; names that clash with another definition's are the usual reason.")
		}
	}
}

func (a *Applier) resource(s *plan.Step) metadata.ResourceInterface {
	return a.Metadata.Resource(s.Object.Kind.GVR()).Namespace(s.Ref.Namespace)
}

// patch sends the server-side apply and gets the object's metadata back. A kind
// that is fresh, just defined, may need a moment until it is served with its new
// schema, and a server that restarts rejects what it would take a moment later.
func (a *Applier) patch(ctx context.Context, s *plan.Step, fresh bool) (*metav1.PartialObjectMetadata, error) {
	wait, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	force := true
	o := metav1.PatchOptions{FieldManager: a.Manager, Force: &force}
	for again := 0; ; {
		m, err := a.resource(s).Patch(ctx, s.Ref.Name, types.ApplyPatchType, s.Object.Body, o)
		pause := unservedPause
		switch {
		case fresh && unserved(err):
		case fresh && cluster.Malformed(err) && again < schemaTries:
			again++
			pause = passingPause
		case cluster.Passing(err) && again < passingTries:
			again++
			pause = passingPause
		default:
			return m, err
		}
		select {
		case <-wait.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// unserved tells a missing kind from a missing object or namespace: the answer
// for it names none.
func unserved(err error) bool {
	return apierrors.IsNotFound(err) && strings.Contains(err.Error(), "the server could not find the requested resource")
}

// takeOver makes the fields that kubectl's client-side apply owns ours, so that
// the apply that follows removes those that are no longer wanted.
func (a *Applier) takeOver(ctx context.Context, s *plan.Step) error {
	if s.Live == nil || s.Live.Legacy == nil {
		return nil
	}
	m := s.Live.Legacy
	for try := 1; ; try++ {
		patch, err := csaupgrade.UpgradeManagedFieldsPatch(m, sets.New(live.LegacyManagers...), a.Manager)
		if err != nil || patch == nil {
			return err
		}
		_, err = a.resource(s).Patch(ctx, s.Ref.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: a.Manager})
		if !apierrors.IsConflict(err) || try == conflictsTaken {
			return err
		}
		if m, err = a.resource(s).Get(ctx, s.Ref.Name, metav1.GetOptions{}); err != nil {
			return err
		}
	}
}

// explain makes an error of the API server the object's failure.
func (a *Applier) explain(s *plan.Step, d *Done, err error) {
	secret := s.Ref.Group == "" && s.Ref.Kind == "Secret"
	d.fail(cluster.Explain(err, secret), cluster.Advice(err, s.Ref.Namespace))
}
