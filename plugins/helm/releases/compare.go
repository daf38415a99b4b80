package releases

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// inFlight is how many objects are compared at once.
const inFlight = 8

// fieldManager is Helm's, so that both own the same fields.
const fieldManager = "helm"

// Compare implements helm.Comparer.
//
// For each object it asks for the live one, and what it would be if it were
// applied: what the API server defaults and what others own does not count as a
// difference. An object that a comparison has found right, and that nobody has
// written since, is not asked for again: listings of metadata tell, which all
// comparisons of about the same time share.
func (m *Manager) Compare(ctx context.Context, c helm.Comparison, emit func(helm.Change)) error {
	o, err := m.begin(ctx, c.Ref, nil)
	if err != nil {
		return err
	}
	seen := m.seen.last(c)
	unchanged, all, err := o.session.unchanged(ctx, c.Ref, seen)
	if err != nil {
		return o.failure(err)
	}
	if all {
		return nil
	}
	found, err := o.compare(ctx, c, unchanged, seen, emit)
	if err != nil {
		return err
	}
	m.seen.keep(c.Ref, found)
	return nil
}

// compare looks at all objects but those that are unchanged since seen.
func (o *operation) compare(ctx context.Context, c helm.Comparison, unchanged map[place]state, seen *sight, emit func(helm.Change)) (*sight, error) {
	deployed, record, err := o.deployed()
	if err != nil {
		return nil, err
	}
	all, err := objects(deployed.Manifest, false)
	if err != nil {
		return nil, o.failure(err)
	}
	client, err := o.dynamic()
	if err != nil {
		return nil, o.failure(err)
	}
	comparison := &comparison{Comparison: c, client: client, mapper: o.session.connection.Mapper(), emit: emit, hidden: &o.hidden}
	comparison.found = &sight{record: record.uid, ignore: leavingOut(c), states: map[place]state{}, whole: true}
	if seen != nil && seen.record == record.uid {
		comparison.seen, comparison.unchanged = seen.states, unchanged
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for _, each := range all {
		group.Go(func() error { return comparison.object(ctx, each) })
	}
	if err := group.Wait(); err != nil {
		return nil, o.failure(err)
	}
	return comparison.found, nil
}

// deployed is the newest revision, if it is the deployed one.
func (o *operation) deployed() (*release.Release, head, error) {
	last, record, err := o.newest()
	switch {
	case err != nil:
		return nil, head{}, err
	case last == nil:
		return nil, head{}, sdk.Permanent(o.failure(helm.ErrNotFound))
	case locked(last):
		return nil, head{}, o.failure(helm.ErrLocked)
	case last.Info.Status != releasecommon.StatusDeployed:
		return nil, head{}, o.failure(fmt.Errorf("revision %d is %s: there is nothing to compare with", last.Version, last.Info.Status))
	}
	return last, record, nil
}

type comparison struct {
	helm.Comparison
	client    dynamic.Interface
	mapper    meta.RESTMapper
	seen      map[place]state // what was right, and in which state
	unchanged map[place]state // what of it still is

	mu    sync.Mutex
	emit  func(helm.Change)
	found *sight

	hidden *hidden
}

func (c *comparison) tell(change helm.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found.whole = false
	c.emit(change)
}

// right remembers an object that is as the release says.
func (c *comparison) right(where place, s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found.states[where] = s
}

// object compares one. Trouble with it is its problem, not the others'.
func (c *comparison) object(ctx context.Context, o object) error {
	want := o.unstructured()
	k := o.key(c.Ref.Namespace)
	where, err := c.place(want)
	if err == nil && where.Namespace == "" {
		k.namespace = ""
	}
	change := helm.Change{Kind: k.kind, Namespace: k.namespace, Name: k.name, Action: "update"}
	if err == nil {
		err = c.live(ctx, where, want, k, &change)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		change.Problem = c.hidden.clean(oneLine(refusal(err).Error()))
		c.tell(change)
	}
	return nil
}

// place is where the object is, which gets its namespace.
func (c *comparison) place(want *unstructured.Unstructured) (place, error) {
	gvk := want.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return place{}, err
	}
	switch {
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		want.SetNamespace("")
	case want.GetNamespace() == "":
		want.SetNamespace(c.Ref.Namespace)
	}
	return place{mapping.Resource, types.NamespacedName{Namespace: want.GetNamespace(), Name: want.GetName()}}, nil
}

// live compares the live object, if there is one.
func (c *comparison) live(ctx context.Context, where place, want *unstructured.Unstructured, k key, change *helm.Change) error {
	paths, all := c.ignored(k)
	if all {
		return nil
	}
	if same, ok := c.unchanged[where]; ok {
		c.right(where, same)
		return nil
	}
	mark(want, c.Ref)
	var r dynamic.ResourceInterface = c.client.Resource(where.resource)
	if where.Namespace != "" {
		r = c.client.Resource(where.resource).Namespace(where.Namespace)
	}
	l, err := c.look(ctx, r, want, c.seen[where], paths)
	if err != nil {
		return err
	}
	if l.right {
		c.right(where, l.state)
		return nil
	}
	if l.is == nil && once(want) {
		return nil
	}
	return c.settle(ctx, r, l, k, change)
}

// once tells whether an object is there to be run once for each revision: that it
// is gone, by its own ttlSecondsAfterFinished or by whoever clears up, is no
// reason to run it again.
func once(want *unstructured.Unstructured) bool {
	switch gvk := want.GroupVersionKind(); {
	case gvk.Group == "batch" && gvk.Kind == "Job":
		return true
	case gvk.Group == "" && gvk.Kind == "Pod":
		policy, _, _ := unstructured.NestedString(want.Object, "spec", "restartPolicy")
		return policy == string(corev1.RestartPolicyNever) || policy == string(corev1.RestartPolicyOnFailure)
	}
	return false
}

// settle makes the object as it should be, if asked to, and tells.
func (c *comparison) settle(ctx context.Context, r dynamic.ResourceInterface, l look, k key, change *helm.Change) (err error) {
	if l.is == nil {
		change.Action = "create"
		change.Diff, err = unified(k, nil, l.want.Object)
	} else {
		change.Diff, err = unified(k, l.is.Object, l.would.Object)
	}
	if err != nil {
		return err
	}
	if c.Correct {
		if _, err := r.Apply(ctx, l.want.GetName(), l.want, metav1.ApplyOptions{Force: true, FieldManager: fieldManager}); err != nil {
			return err
		}
	}
	c.tell(*change)
	return nil
}

// ignored tells what to leave out of an object, or whether all of it.
func (c *comparison) ignored(k key) (paths []pointer, all bool) {
	matches := func(pattern, value string) bool { return pattern == "" || pattern == value }
	for _, i := range c.Ignore {
		if !matches(i.Kind, k.kind) || !matches(i.Name, k.name) || !matches(i.Namespace, k.namespace) {
			continue
		}
		if len(i.Paths) == 0 {
			return nil, true
		}
		for _, p := range i.Paths {
			at := parsePointer(p)
			if k.group == "" && k.kind == "Secret" && at[0] == "stringData" {
				at[0] = "data" // which is what becomes of it
			}
			paths = append(paths, at)
		}
	}
	return paths, false
}

// mark gives an object what Helm gives it beyond its manifest.
func mark(u *unstructured.Unstructured, ref helm.ReleaseRef) {
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels["app.kubernetes.io/managed-by"] = "Helm"
	u.SetLabels(labels)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["meta.helm.sh/release-name"] = ref.Name
	annotations["meta.helm.sh/release-namespace"] = ref.Namespace
	u.SetAnnotations(annotations)
}
