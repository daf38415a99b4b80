package releases

import (
	"bytes"
	"context"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
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
	would *unstructured.Unstructured // what applying would make of it, unless it is right
}

// look asks for an object that was right when it was seen, and for what
// applying would make of it. Both answers are of the same moment, unless the
// object never stops changing. The fields that are not ours are taken out of
// want.
func (c *comparison) look(ctx context.Context, r dynamic.ResourceInterface, want *unstructured.Unstructured, seen state, paths [][]string) (l look, err error) {
	const attempts = 5
	for range attempts {
		l.is, err = r.Get(ctx, want.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return look{}, nil
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
		for _, path := range slices.Concat(paths, theirs) {
			unstructured.RemoveNestedField(want.Object, path...)
		}
		l.would, err = r.Apply(ctx, want.GetName(), want, metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, Force: true, FieldManager: fieldManager})
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

func leftAlone(is *unstructured.Unstructured) bool {
	has := is.GetAnnotations()
	return slices.ContainsFunc(hands, func(name string) bool { return has[name] == "true" })
}

// scaled are the fields that an autoscaler has set, through the subresource
// that there is for it. What kubectl sets in the same way is a person's doing.
func scaled(is *unstructured.Unstructured) (paths [][]string, err error) {
	for _, f := range is.GetManagedFields() {
		if f.Subresource != "scale" || strings.HasPrefix(f.Manager, "kubectl") || f.FieldsV1 == nil {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(bytes.NewReader(f.FieldsV1.GetRawBytes())); err != nil {
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
func namesOf(path fieldpath.Path) []string {
	var names []string
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
