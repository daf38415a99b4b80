package releases

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// inFlight is how many objects are compared at once.
const inFlight = 8

// fieldManager is Helm's, so that both own the same fields.
const fieldManager = "helm"

// Annotations that leave a live object alone.
var ignoring = []string{"sluice.dev/ignore", "fluxcd.io/ignore", "flux.weave.works/ignore"}

// Compare implements helm.Comparer. For each object it asks for the live one,
// and what it would be if it were applied: what the API server defaults and
// what others own does not count as a difference.
func (m *Manager) Compare(ctx context.Context, c helm.Comparison, emit func(helm.Change)) error {
	o, err := m.begin(ctx, c.Ref, nil)
	if err != nil {
		return err
	}
	deployed, err := o.deployed()
	if err != nil {
		return err
	}
	all, err := objects(deployed.Manifest, false)
	if err != nil {
		return o.failure(err)
	}
	config, err := o.getter.ToRESTConfig()
	if err != nil {
		return o.failure(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return o.failure(err)
	}
	comparison := &comparison{Comparison: c, client: client, mapper: m.cluster.Mapper(), emit: emit}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for _, each := range all {
		group.Go(func() error { return comparison.object(ctx, each) })
	}
	if err := group.Wait(); err != nil {
		return o.failure(err)
	}
	return nil
}

// deployed is the newest revision, if it is the deployed one.
func (o *operation) deployed() (*release.Release, error) {
	last, err := o.last()
	switch {
	case err != nil:
		return nil, err
	case last == nil:
		return nil, sdk.Permanent(o.failure(helm.ErrNotFound))
	case locked(last):
		return nil, o.failure(helm.ErrLocked)
	case last.Info.Status != releasecommon.StatusDeployed:
		return nil, o.failure(fmt.Errorf("revision %d is %s: there is nothing to compare with", last.Version, last.Info.Status))
	}
	return last, nil
}

type comparison struct {
	helm.Comparison
	client dynamic.Interface
	mapper meta.RESTMapper

	mu   sync.Mutex
	emit func(helm.Change)
}

func (c *comparison) tell(change helm.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.emit(change)
}

// object compares one. Trouble with it is its problem, not the others'.
func (c *comparison) object(ctx context.Context, o object) error {
	want := o.unstructured()
	k := o.key(c.Ref.Namespace)
	resource, err := c.resource(want)
	if err == nil && want.GetNamespace() == "" {
		k.namespace = ""
	}
	change := helm.Change{Kind: k.kind, Namespace: k.namespace, Name: k.name, Action: "update"}
	if err == nil {
		err = c.live(ctx, resource, want, k, &change)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		change.Problem = oneLine(err.Error())
		c.tell(change)
	}
	return nil
}

// resource is where the object is, which gets its namespace.
func (c *comparison) resource(want *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := want.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		want.SetNamespace("")
		return c.client.Resource(mapping.Resource), nil
	}
	if want.GetNamespace() == "" {
		want.SetNamespace(c.Ref.Namespace)
	}
	return c.client.Resource(mapping.Resource).Namespace(want.GetNamespace()), nil
}

// live compares the live object, if there is one.
func (c *comparison) live(ctx context.Context, r dynamic.ResourceInterface, want *unstructured.Unstructured, k key, change *helm.Change) error {
	paths, all := c.ignored(k)
	if all {
		return nil
	}
	mark(want, c.Ref)
	is, would, err := states(ctx, r, want, paths)
	switch {
	case err != nil:
		return err
	case is == nil:
		change.Action = "create"
		return c.settle(ctx, r, want, k, nil, want.Object, change)
	case slices.ContainsFunc(ignoring, func(name string) bool { return is.GetAnnotations()[name] == "true" }):
		return nil
	}
	strip(is, paths)
	strip(would, paths)
	if reflect.DeepEqual(is.Object, would.Object) {
		return nil
	}
	return c.settle(ctx, r, want, k, is.Object, would.Object, change)
}

// states returns the live object, nil if there is none, and what it would be.
// Both are of the same moment, unless it never stops changing.
func states(ctx context.Context, r dynamic.ResourceInterface, want *unstructured.Unstructured, paths [][]string) (is, would *unstructured.Unstructured, err error) {
	const attempts = 5
	for range attempts {
		is, err = r.Get(ctx, want.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		for _, path := range paths {
			unstructured.RemoveNestedField(want.Object, path...)
		}
		would, err = r.Apply(ctx, want.GetName(), want, metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, Force: true, FieldManager: fieldManager})
		if err != nil || would.GetResourceVersion() == is.GetResourceVersion() {
			break
		}
	}
	return is, would, err
}

// settle makes the object as it should be, if asked to, and tells.
func (c *comparison) settle(ctx context.Context, r dynamic.ResourceInterface, want *unstructured.Unstructured, k key, was, is map[string]any, change *helm.Change) error {
	text, err := unified(k, was, is)
	if err != nil {
		return err
	}
	change.Diff = text
	if c.Correct {
		if _, err := r.Apply(ctx, want.GetName(), want, metav1.ApplyOptions{Force: true, FieldManager: fieldManager}); err != nil {
			return err
		}
	}
	c.tell(*change)
	return nil
}

// ignored tells what to leave out of an object, or whether all of it.
func (c *comparison) ignored(k key) (paths [][]string, all bool) {
	matches := func(pattern, value string) bool { return pattern == "" || pattern == value }
	for _, i := range c.Ignore {
		if !matches(i.Kind, k.kind) || !matches(i.Name, k.name) || !matches(i.Namespace, k.namespace) {
			continue
		}
		if len(i.Paths) == 0 {
			return nil, true
		}
		for _, p := range i.Paths {
			paths = append(paths, pointer(p))
		}
	}
	return paths, false
}

// pointer takes a JSON pointer apart.
func pointer(p string) []string {
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
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

// kept are the fields of metadata that a release declares.
var kept = []string{"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"}

// strip takes away what the API server keeps about every object, and what is
// to be ignored.
func strip(u *unstructured.Unstructured, paths [][]string) {
	delete(u.Object, "status")
	if m, ok := u.Object["metadata"].(map[string]any); ok {
		for name := range m {
			if !slices.Contains(kept, name) {
				delete(m, name)
			}
		}
	}
	for _, path := range paths {
		unstructured.RemoveNestedField(u.Object, path...)
	}
}
