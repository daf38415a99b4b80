// Package diff shows what a plan would change in each object, as a unified
// diff of YAML. The API server itself says what an update would lead to, by a
// dry run; nothing is changed. Values of Secrets never appear.
package diff

import (
	"context"
	"errors"

	godiff "github.com/rogpeppe/go-internal/diff"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

const atOnce = 16

// Differ adds differences to steps.
type Differ struct {
	Client   dynamic.Interface
	Manager  string // field manager
	Recreate bool   // immutable fields may be changed by making the object anew

	pending map[applier.Ref]bool // what the plan would create or update
}

// Run sets the Diff of each step that creates or updates. One that the API
// server rejects in a dry run becomes Refused, or Recreate where that is the
// way. Whether an object is right whose definition changes with it cannot be
// known before.
func (d *Differ) Run(ctx context.Context, steps []plan.Step) error {
	d.pending = map[applier.Ref]bool{}
	for _, s := range steps {
		if s.Action == applier.Create || s.Action == applier.Update {
			d.pending[s.Ref.Identity()] = true
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range steps {
		s := &steps[i]
		switch s.Action {
		case applier.Create:
			group.Go(func() error { return d.create(ctx, s) })
		case applier.Update:
			group.Go(func() error { return d.update(ctx, s) })
		}
	}
	return group.Wait()
}

func (d *Differ) create(ctx context.Context, s *plan.Step) error {
	u, err := parse(s.Object.Body)
	if err != nil {
		return err
	}
	if !d.early(s) {
		// Other errors than these may have gone when the rest of the set is there.
		_, err = d.dryRun(ctx, s)
		lost := missingNamespace(err, s.Ref) && !d.pending[applier.Ref{Kind: "Namespace", Name: s.Ref.Namespace}]
		if lost || cluster.Rejected(err) {
			return d.rejected(ctx, s, nil, err)
		}
	}
	s.Diff, err = Unified(s.Ref, nil, u)
	return errors.Join(err, ctx.Err())
}

// early tells a step on which the API server cannot judge yet, because the
// definition of its kind changes with it.
func (d *Differ) early(s *plan.Step) bool {
	return s.Object.InSet && d.pending[applier.Ref{
		Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: s.Object.Kind.GVR().GroupResource().String(),
	}]
}

// missingNamespace tells whether err says that ref's namespace does not exist.
func missingNamespace(err error, ref applier.Ref) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return ok && apierrors.IsNotFound(err) && status.ErrStatus.Details != nil &&
		status.ErrStatus.Details.Kind == "namespaces" && status.ErrStatus.Details.Name == ref.Namespace
}

func (d *Differ) dryRun(ctx context.Context, s *plan.Step) (*unstructured.Unstructured, error) {
	force := true
	return d.Client.Resource(s.Object.Kind.GVR()).Namespace(s.Ref.Namespace).Patch(ctx, s.Ref.Name, types.ApplyPatchType, s.Object.Body,
		metav1.PatchOptions{FieldManager: d.Manager, Force: &force, DryRun: []string{metav1.DryRunAll}})
}

func (d *Differ) update(ctx context.Context, s *plan.Step) error {
	c := d.Client.Resource(s.Object.Kind.GVR()).Namespace(s.Ref.Namespace)
	before, err := c.Get(ctx, s.Ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s.Action, s.Reason = applier.Create, "it does not exist any more"
		return d.create(ctx, s)
	} else if err != nil {
		return d.rejected(ctx, s, nil, err)
	}
	after, err := d.dryRun(ctx, s)
	if err != nil && d.early(s) && ctx.Err() == nil {
		return nil
	} else if err != nil {
		return d.rejected(ctx, s, before, err)
	}
	s.Diff, err = Unified(s.Ref, before, after)
	return err
}

// rejected handles an update that the API server does not take.
func (d *Differ) rejected(ctx context.Context, s *plan.Step, before *unstructured.Unstructured, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fields := cluster.ImmutableFields(cause)
	immutable, advice := s.Immutable(fields)
	if len(fields) > 0 && d.Recreate && s.Recreatable() {
		s.Action, s.Reason = applier.Recreate, immutable
		after, err := parse(s.Object.Body)
		if err != nil {
			return err
		}
		s.Diff, err = Unified(s.Ref, before, after)
		return err
	}
	summary, detail := cluster.Explain(cause, secret(s.Ref)), cluster.Advice(cause, s.Ref.Namespace)
	if len(fields) > 0 {
		summary, detail = immutable, advice
	}
	s.Action, s.Reason = applier.Refused, summary
	s.Diagnostic = &diag.Diagnostic{
		Summary: summary,
		Detail:  detail,
		Subject: &diag.Range{File: s.File, Start: diag.Pos{Line: s.Line}},
	}
	return nil
}

// Unified returns the difference between two states of an object; nil is no
// object. It is empty if they are the same but for what the server keeps about
// every object.
func Unified(ref applier.Ref, before, after *unstructured.Unstructured) (string, error) {
	if secret(ref) {
		before, after = mask(before, after)
	}
	old, err := render(before)
	if err != nil {
		return "", err
	}
	now, err := render(after)
	if err != nil {
		return "", err
	}
	return string(godiff.Diff("live/"+ref.String(), old, "wanted/"+ref.String(), now)), nil
}

func render(u *unstructured.Unstructured) ([]byte, error) {
	if u == nil {
		return nil, nil
	}
	return yaml.Marshal(strip(u).Object)
}

func parse(body []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal(body, &u.Object); err != nil {
		return nil, err
	}
	return u, nil
}

func secret(ref applier.Ref) bool { return ref.Group == "" && ref.Kind == "Secret" }
