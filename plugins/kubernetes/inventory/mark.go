package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// ErrNone says that an owner has no inventory.
var ErrNone = errors.New("there is no inventory yet")

// CheckMark says what is wrong with name as that of a mark.
func CheckMark(name string) error {
	if slices.Contains(written, name) || strings.HasPrefix(name, "applyset.kubernetes.io/") {
		return fmt.Errorf("the annotation %s is part of the inventory itself", name)
	}
	if problems := validation.IsQualifiedName(strings.ToLower(name)); len(problems) > 0 {
		return fmt.Errorf("%q is no name of an annotation: %s", name, problems[0])
	}
	return nil
}

// Marks returns the annotations that Inventory.Marks has, from metadata alone;
// ErrNone if there is no inventory of owner.
func (s Store) Marks(ctx context.Context, owner string) (map[string]string, error) {
	m, err := s.Metadata.Resource(configMaps).Namespace(s.Namespace).Get(ctx, Name(owner), metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && m.Labels[ownerLabel] != ID(owner, s.Namespace) {
		return nil, fmt.Errorf("inventory of %s: %w", owner, ErrNone)
	} else if err != nil {
		return nil, fmt.Errorf("inventory of %s: %w", owner, err)
	}
	_, marks := split(m.Annotations)
	return marks, nil
}

// Mark sets an annotation on the first shard of the inventory of owner, which
// keeps it when it is written anew. An empty value removes it. ErrNone says
// that there is no inventory.
func (s Store) Mark(ctx context.Context, owner, name, value string) error {
	annotations := map[string]any{name: value}
	if value == "" {
		annotations[name] = nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return fmt.Errorf("inventory of %s: %w", owner, err)
	}
	_, err = s.Metadata.Resource(configMaps).Namespace(s.Namespace).
		Patch(ctx, Name(owner), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: s.Manager})
	if apierrors.IsNotFound(err) {
		err = ErrNone
	}
	if err != nil {
		return fmt.Errorf("inventory of %s: %w", owner, err)
	}
	return nil
}

// remark gives u, which is about to be written, the marks of what stands.
func (i *Inventory) remark(u, stands *unstructured.Unstructured) {
	annotations, _ := split(u.GetAnnotations())
	_, marks := split(stands.GetAnnotations())
	if u.GetName() == Name(i.Owner) {
		i.Marks = marks
	}
	maps.Copy(annotations, marks)
	u.SetAnnotations(annotations)
}
