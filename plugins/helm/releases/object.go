package releases

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// object is one of a manifest.
type object struct {
	content map[string]any
	file    string // of the chart
	hook    bool
}

// key is what an object is known by. One that changes its API version only
// remains the same.
type key struct {
	group, kind, namespace, name string
	hook                         bool
}

func (k key) String() string {
	if k.namespace == "" {
		return k.kind + "/" + k.name
	}
	return k.kind + "/" + k.namespace + "/" + k.name
}

func (o object) unstructured() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: o.content}
}

func (o object) String() string {
	u := o.unstructured()
	return u.GetKind() + "/" + u.GetName()
}

// key of an object in a release of a namespace. What has none may also belong
// to the whole cluster, which makes no difference here.
func (o object) key(namespace string) key {
	u := o.unstructured()
	k := key{u.GroupVersionKind().Group, u.GetKind(), u.GetNamespace(), u.GetName(), o.hook}
	if k.namespace == "" {
		k.namespace = namespace
	}
	return k
}

// objects reads a manifest, in its order. Errors do not quote it.
func objects(manifest string, hook bool) ([]object, error) {
	parts := releaseutil.SplitManifests(manifest)
	names := make([]string, 0, len(parts))
	for name := range parts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { // manifest-10 after manifest-9
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	var all []object
	for _, name := range names {
		var content map[string]any
		if err := yaml.Unmarshal([]byte(parts[name]), &content); err != nil {
			return nil, fmt.Errorf("%s is not valid YAML: %w", source(parts[name]), err)
		}
		switch {
		case len(content) == 0:
		case reflect.DeepEqual(content["kind"], "List"):
			items, _ := content["items"].([]any)
			for _, item := range items {
				if m, ok := item.(map[string]any); ok {
					all = append(all, object{m, source(parts[name]), hook})
				}
			}
		default:
			all = append(all, object{content, source(parts[name]), hook})
		}
	}
	return all, nil
}

// source is the file that a manifest says it is from.
func source(manifest string) string {
	for line := range strings.Lines(manifest) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "# Source: "); ok {
			return name
		}
	}
	return "the manifest"
}

// unified is the difference between two states of an object, without what is
// in a Secret.
func unified(k key, before, after map[string]any) (string, error) {
	if k.group == "" && k.kind == "Secret" {
		before, after = masked(before, after)
	}
	old, err := text(before)
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	now, err := text(after)
	if err != nil {
		return "", fmt.Errorf("%s: %w", k, err)
	}
	return string(diff.Diff("is/"+k.String(), old, "wanted/"+k.String(), now)), nil
}

func text(content map[string]any) ([]byte, error) {
	if content == nil {
		return nil, nil
	}
	return yaml.Marshal(content)
}

// masked replaces the values of two states of a Secret, such that one sees
// which of them differ, and nothing else.
func masked(before, after map[string]any) (map[string]any, map[string]any) {
	before, after = runtime.DeepCopyJSON(before), runtime.DeepCopyJSON(after)
	for _, field := range []string{"data", "stringData"} {
		was, wasMap := before[field].(map[string]any)
		is, isMap := after[field].(map[string]any)
		for name, value := range was {
			switch other, both := is[name]; {
			case both && !reflect.DeepEqual(value, other):
				was[name], is[name] = "(redacted, before)", "(redacted, after)"
			case both:
				was[name], is[name] = redactedText, redactedText
			default:
				was[name] = redactedText
			}
		}
		for name := range is {
			if _, both := was[name]; !both {
				is[name] = redactedText
			}
		}
		hide(before, field, wasMap)
		hide(after, field, isMap)
	}
	return before, after
}

// hide leaves nothing of a field that is no map.
func hide(content map[string]any, field string, isMap bool) {
	if _, there := content[field]; there && !isMap {
		content[field] = redactedText
	}
}
