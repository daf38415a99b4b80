package patch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// podSpecs are where kinds keep the pods that they run.
var podSpecs = [][]string{
	{"spec", "template", "spec"},                        // Deployment, DaemonSet, StatefulSet, Job
	{"spec", "jobTemplate", "spec", "template", "spec"}, // CronJob
	{"spec"}, // Pod
}

// SetImage returns o with another image of the named container.
func SetImage(o Object, container, image string) (Object, error) {
	root, err := fields(o)
	if err != nil {
		return Object{}, err
	}
	var names []string
	for _, path := range podSpecs {
		spec := walk(root, path)
		for _, list := range []string{"containers", "initContainers"} {
			containers, _ := spec[list].([]any)
			for _, c := range containers {
				c, _ := c.(map[string]any)
				name, _ := c["name"].(string)
				if name == container {
					c["image"] = image
					return encode(o, root)
				}
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return Object{}, fmt.Errorf("%s has no containers that a patch can be made for; change the image where the generator reads it", o.Ref)
	}
	slices.Sort(names)
	return Object{}, fmt.Errorf("%s has no container %q; it has %s", o.Ref, container, strings.Join(names, ", "))
}

// SetAnnotation returns o with the annotation key set to value, or without it.
func SetAnnotation(o Object, key string, value *string) (Object, error) {
	root, err := fields(o)
	if err != nil {
		return Object{}, err
	}
	meta, ok := root["metadata"].(map[string]any)
	if !ok {
		return Object{}, fmt.Errorf("%s has no metadata", o.Ref)
	}
	annotations, _ := meta["annotations"].(map[string]any)
	switch {
	case value != nil && annotations == nil:
		meta["annotations"] = map[string]any{key: *value}
	case value != nil:
		annotations[key] = *value
	default:
		delete(annotations, key)
		if len(annotations) == 0 {
			delete(meta, "annotations")
		}
	}
	return encode(o, root)
}

func walk(m map[string]any, path []string) map[string]any {
	for _, key := range path {
		m, _ = m[key].(map[string]any)
	}
	return m
}

func fields(o Object) (map[string]any, error) {
	var root map[string]any
	dec := json.NewDecoder(strings.NewReader(string(o.JSON)))
	dec.UseNumber()
	return root, dec.Decode(&root)
}

func encode(o Object, root map[string]any) (Object, error) {
	data, err := json.Marshal(root)
	return Object{Ref: o.Ref, JSON: data}, err
}
