package releases

import (
	"bytes"
	"context"
	"encoding/base64"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Annotations that leave a live object alone.
var hands = []string{"sluice.dev/ignore", "fluxcd.io/ignore", "flux.weave.works/ignore"}

// look is what one looks like.
type look struct {
	is    *unstructured.Unstructured // nil: there is none
	state state                      // of is
	right bool                       // it is as wanted, or to be left alone
	want  *unstructured.Unstructured // to be applied, if it is not right
	would *unstructured.Unstructured // what that would make of it
}

// look asks for an object that was right when it was seen, and for what
// applying would make of it. Both answers are of the same moment, unless the
// object never stops changing.
func (c *comparison) look(ctx context.Context, r dynamic.ResourceInterface, want *unstructured.Unstructured, seen state, paths []pointer) (l look, err error) {
	const attempts = 5
	for range attempts {
		l.is, err = r.Get(ctx, want.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return look{want: want}, nil
		}
		if err != nil {
			return look{}, err
		}
		if l.state, err = stateOf(l.is); err != nil {
			return look{}, err
		}
		if seen.same(l.state) || leftAlone(l.is) {
			l.right = true
			return l, nil
		}
		theirs, err := scaled(l.is)
		if err != nil {
			return look{}, err
		}
		if l.want, err = yielding(want, l.is, slices.Concat(paths, theirs)); err != nil {
			return look{}, err
		}
		l.would, err = r.Apply(ctx, want.GetName(), l.want, metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, Force: true, FieldManager: fieldManager})
		if err != nil {
			return look{}, err
		}
		if l.would.GetResourceVersion() == l.is.GetResourceVersion() {
			break
		}
	}
	strip(l.is, paths)
	strip(l.would, paths)
	l.right = reflect.DeepEqual(l.is.Object, l.would.Object)
	return l, nil
}

// yielding is want as it is to be applied to is, whose fields at the paths are
// to stay as they are. One that was applied before would be taken away if it
// were left out now: it is applied with the value that it has. One that others
// have set since is left to them.
func yielding(want, is *unstructured.Unstructured, paths []pointer) (*unstructured.Unstructured, error) {
	want = want.DeepCopy()
	if slices.ContainsFunc(paths, func(p pointer) bool { return p[0] == "data" }) {
		fold(want)
	}
	ours, err := applied(is)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		_, wanted := path.get(want.Object)
		live, found := path.get(is.Object)
		switch {
		case !wanted:
		case found && path.in(ours):
			path.set(want.Object, runtime.DeepCopyJSONValue(live))
		default:
			path.remove(want.Object)
		}
	}
	return want, nil
}

// applied are the fields that were applied in our name.
func applied(is *unstructured.Unstructured) (*fieldpath.Set, error) {
	for _, f := range is.GetManagedFields() {
		if f.Manager == fieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.Subresource == "" {
			return fieldsOf(f)
		}
	}
	return &fieldpath.Set{}, nil
}

func fieldsOf(f metav1.ManagedFieldsEntry) (*fieldpath.Set, error) {
	set := &fieldpath.Set{}
	if f.FieldsV1 == nil {
		return set, nil
	}
	return set, set.FromJSON(bytes.NewReader(f.FieldsV1.GetRawBytes()))
}

// fold puts the stringData of a Secret where its API server will.
func fold(secret *unstructured.Unstructured) {
	written, ok := secret.Object["stringData"].(map[string]any)
	if !ok || secret.GroupVersionKind() != corev1.SchemeGroupVersion.WithKind("Secret") {
		return
	}
	data, ok := secret.Object["data"].(map[string]any)
	if !ok {
		data = map[string]any{}
	}
	for name, value := range written {
		if text, ok := value.(string); ok {
			data[name] = base64.StdEncoding.EncodeToString([]byte(text))
		}
	}
	secret.Object["data"] = data
	delete(secret.Object, "stringData")
}

func leftAlone(is *unstructured.Unstructured) bool {
	has := is.GetAnnotations()
	return slices.ContainsFunc(hands, func(name string) bool { return has[name] == "true" })
}

// scaled are the fields that an autoscaler has set, through the subresource
// that there is for it. What kubectl sets in the same way is a person's doing.
func scaled(is *unstructured.Unstructured) (paths []pointer, err error) {
	for _, f := range is.GetManagedFields() {
		if f.Subresource != "scale" || strings.HasPrefix(f.Manager, "kubectl") {
			continue
		}
		set, err := fieldsOf(f)
		if err != nil {
			return nil, err
		}
		for path := range set.Leaves().All() {
			if names := namesOf(path); len(names) > 0 && names[0] != "metadata" {
				paths = append(paths, names)
			}
		}
	}
	return paths, nil
}

// namesOf is a path through objects; nil, if it goes through lists.
func namesOf(path fieldpath.Path) pointer {
	var names pointer
	for _, element := range path {
		if element.FieldName == nil {
			return nil
		}
		names = append(names, *element.FieldName)
	}
	return names
}

// kept are the fields of metadata that a release declares.
var kept = []string{"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"}

// strip takes away what the API server keeps about every object, and what is
// to be ignored.
func strip(u *unstructured.Unstructured, paths []pointer) {
	delete(u.Object, "status")
	if m, ok := u.Object["metadata"].(map[string]any); ok {
		for name := range m {
			if !slices.Contains(kept, name) {
				delete(m, name)
			}
		}
	}
	for _, path := range paths {
		path.remove(u.Object)
	}
}
