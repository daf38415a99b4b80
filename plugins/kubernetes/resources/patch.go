package resources

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// mostConflicts is how often a change starts over because somebody else was
// quicker.
const mostConflicts = 10

// PatchResource implements applier.ResourceKeeper. Each change names the
// version of the object that it starts from, so that it never reaches an
// object that was made anew under the name, and never undoes another writer's
// finalizers.
func (k *Keeper) PatchResource(ctx context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	r, err := k.patch(ctx, p)
	if err != nil {
		return r, fmt.Errorf("change %s: %w", p.Ref, err)
	}
	return r, nil
}

func (k *Keeper) patch(ctx context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	if err := k.allowed(p.Ref.String(), p.Ref.Namespace); err != nil {
		return applier.Resource{}, err
	}
	served, err := k.kind(ctx, kindOf(p.Ref))
	if notServed(err) {
		return applier.Resource{}, fmt.Errorf("%w: %w", applier.ErrNoResource, err)
	} else if err != nil {
		return applier.Resource{}, err
	}
	c := &change{Keeper: k, served: served, ref: p.Ref, uid: types.UID(p.UID)}
	if p.AddFinalizer != "" {
		if err := c.addFinalizer(ctx, p.AddFinalizer); err != nil {
			return applier.Resource{}, err
		}
	}
	if len(p.Status) > 0 {
		if err := c.setStatus(ctx, p.Status); err != nil {
			return applier.Resource{}, err
		}
	}
	if p.RemoveFinalizer != "" {
		if err := c.removeFinalizer(ctx, p.RemoveFinalizer); err != nil {
			return applier.Resource{}, err
		}
	}
	return c.result(ctx)
}

// change is one call of PatchResource.
type change struct {
	*Keeper
	served cluster.Served
	ref    applier.Ref
	uid    types.UID
	last   *applier.Resource // what the last request brought
}

func (c *change) addFinalizer(ctx context.Context, name string) error {
	return c.do(ctx, "", func(f facts) (map[string]any, error) {
		switch {
		case slices.Contains(f.finalizers, name):
			return nil, nil
		case f.deleting:
			return nil, fmt.Errorf("it is being deleted, and takes no finalizer any more: %w", applier.ErrNoResource)
		}
		return map[string]any{"finalizers": append(slices.Clone(f.finalizers), name)}, nil
	}, nil)
}

func (c *change) removeFinalizer(ctx context.Context, name string) error {
	return c.do(ctx, "", func(f facts) (map[string]any, error) {
		if !slices.Contains(f.finalizers, name) {
			return nil, nil
		}
		return map[string]any{"finalizers": slices.DeleteFunc(slices.Clone(f.finalizers), func(s string) bool { return s == name })}, nil
	}, nil)
}

// setStatus changes the status where the definition has it. One without the
// subresource is asked about each time, since the API server would silently
// ignore the change once it has it.
func (c *change) setStatus(ctx context.Context, status json.RawMessage) error {
	var object map[string]any
	if err := json.Unmarshal(status, &object); err != nil {
		return fmt.Errorf("the patch of the status is not a JSON object: %w", err)
	}
	always := func(facts) (map[string]any, error) { return map[string]any{}, nil }
	if !c.served.Status {
		if err := c.renew(ctx); err != nil {
			return err
		}
	}
	sub := c.subresource()
	err := c.do(ctx, sub, always, object)
	if !apierrors.IsNotFound(err) || sub == "" {
		return err
	}
	if failed := c.renew(ctx); failed != nil || c.served.Status {
		return failed
	}
	return c.do(ctx, "", always, object)
}

func (c *change) subresource() string {
	if c.served.Status {
		return "status"
	}
	return ""
}

func (c *change) renew(ctx context.Context) (err error) {
	c.served, err = c.askKind(ctx, c.served.GroupVersionKind)
	if notServed(err) {
		return fmt.Errorf("%w: %w", applier.ErrNoResource, err)
	}
	return err
}

// do sends a merge patch with what metadata returns and the status, if there
// is one. Nil metadata says that there is nothing to change.
func (c *change) do(ctx context.Context, sub string, metadata func(facts) (map[string]any, error), status map[string]any) error {
	f, remembered := c.seen.get(c.uid)
	for try := 1; ; try++ {
		if !remembered {
			var err error
			if f, err = c.look(ctx); err != nil {
				return err
			}
		}
		m, err := metadata(f)
		if (err != nil || m == nil) && remembered {
			remembered = false // certainty is worth a request
			continue
		}
		if err != nil || m == nil {
			return err
		}
		err = c.send(ctx, sub, f, m, status)
		if !apierrors.IsConflict(err) || try == mostConflicts {
			return err
		}
		c.seen.doubt(c.uid)
		remembered = false
	}
}

func (c *change) send(ctx context.Context, sub string, f facts, metadata, status map[string]any) error {
	metadata["resourceVersion"] = f.version
	patch := map[string]any{"metadata": metadata}
	if status != nil {
		patch["status"] = status
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	var subs []string
	if sub != "" {
		subs = []string{sub}
	}
	resource := c.Client.Dynamic.Resource(c.served.GVR()).Namespace(c.ref.Namespace)
	u, err := resource.Patch(ctx, c.ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: c.Manager}, subs...)
	if err != nil {
		return c.refused(ctx, err, sub)
	}
	c.seen.renew(c.uid, factsOf(u, f.cause))
	r, err := resourceOf(u, f.cause)
	c.last = &r
	return err
}

// refused finds out what a refusal means: of a subresource, "not found" may
// mean the object or the subresource.
func (c *change) refused(ctx context.Context, err error, sub string) error {
	resource := c.served.GVR().GroupResource()
	switch {
	case apierrors.IsNotFound(err) && sub == "":
		return c.missing()
	case apierrors.IsNotFound(err):
		if _, gone := c.look(ctx); gone != nil {
			return gone
		}
	case cluster.Unauthorised(err):
		if sub != "" {
			resource.Resource += "/" + sub
		}
		return cluster.Grant(err, resource, c.ref.Namespace, "patch")
	}
	return err
}

func (c *change) missing() error {
	return fmt.Errorf("%w with the UID %s", applier.ErrNoResource, c.uid)
}

// look reads the facts of the object that is meant.
func (c *change) look(ctx context.Context) (facts, error) {
	r := c.Client.Metadata.Resource(c.served.GVR()).Namespace(c.ref.Namespace)
	m, err := r.Get(ctx, c.ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return facts{}, c.missing()
	case err != nil:
		return facts{}, cluster.Grant(err, c.served.GVR().GroupResource(), c.ref.Namespace, "get")
	case m.UID != c.uid:
		return facts{}, c.missing()
	}
	before, _ := c.seen.get(c.uid)
	f := factsOf(m, before.cause)
	c.seen.renew(c.uid, f)
	return f, nil
}

// result is the object after the last change.
func (c *change) result(ctx context.Context) (applier.Resource, error) {
	if c.last != nil {
		return *c.last, nil
	}
	u, err := c.Client.Dynamic.Resource(c.served.GVR()).Namespace(c.ref.Namespace).Get(ctx, c.ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return applier.Resource{}, c.missing()
	case err != nil:
		return applier.Resource{}, cluster.Grant(err, c.served.GVR().GroupResource(), c.ref.Namespace, "get")
	case u.GetUID() != c.uid:
		return applier.Resource{}, c.missing()
	}
	f, _ := c.seen.get(c.uid)
	return resourceOf(u, f.cause)
}
