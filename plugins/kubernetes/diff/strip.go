package diff

import (
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
)

// noise is what the server keeps about every object, and what says that an
// object is ours.
var noise = [][]string{
	{"status"},
	{"metadata", "managedFields"},
	{"metadata", "resourceVersion"},
	{"metadata", "uid"},
	{"metadata", "generation"},
	{"metadata", "creationTimestamp"},
	{"metadata", "selfLink"},
	{"metadata", "labels", live.MemberLabel},
	{"metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"},
	{"metadata", "annotations", "deployment.kubernetes.io/revision"},
}

func strip(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	for _, path := range noise {
		unstructured.RemoveNestedField(u.Object, path...)
	}
	for _, m := range []string{"labels", "annotations"} {
		if left, _, _ := unstructured.NestedMap(u.Object, "metadata", m); len(left) == 0 {
			unstructured.RemoveNestedField(u.Object, "metadata", m)
		}
	}
	return u
}

const (
	masked       = "(redacted)"
	maskedBefore = "(redacted, before)"
	maskedAfter  = "(redacted, after)"
)

// mask replaces the values of two states of a Secret, such that one can see
// which of them differ, and nothing else.
func mask(before, after *unstructured.Unstructured) (*unstructured.Unstructured, *unstructured.Unstructured) {
	old, now := copyOf(before), copyOf(after)
	for _, field := range []string{"data", "stringData"} {
		was, _ := old[field].(map[string]any)
		is, _ := now[field].(map[string]any)
		maskField(was, is)
		dropMalformed(old, field)
		dropMalformed(now, field)
	}
	return wrap(before, old), wrap(after, now)
}

func maskField(was, is map[string]any) {
	for key, value := range was {
		other, both := is[key]
		switch {
		case !both:
			was[key] = masked
		case reflect.DeepEqual(value, other):
			was[key], is[key] = masked, masked
		default:
			was[key], is[key] = maskedBefore, maskedAfter
		}
	}
	for key := range is {
		if _, both := was[key]; !both {
			is[key] = masked
		}
	}
}

// dropMalformed leaves nothing of a field that is not a map.
func dropMalformed(object map[string]any, field string) {
	if value, there := object[field]; there {
		if _, ok := value.(map[string]any); !ok {
			object[field] = masked
		}
	}
}

func copyOf(u *unstructured.Unstructured) map[string]any {
	if u == nil {
		return nil
	}
	return u.DeepCopy().Object
}

func wrap(original *unstructured.Unstructured, object map[string]any) *unstructured.Unstructured {
	if original == nil {
		return nil
	}
	return &unstructured.Unstructured{Object: object}
}
