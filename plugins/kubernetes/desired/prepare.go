package desired

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// ignoreAnnotations ask to leave an object alone, in the file or in the
// cluster. The first that an object has counts. The last two are those of
// Flux v1.
var ignoreAnnotations = []string{"sluice.dev/ignore", "fluxcd.io/ignore", "flux.weave.works/ignore"}

// IgnoreAnnotation returns the annotation (key=value) that limits what is done
// with an object: it is never pruned, and, if alone is set, not applied either.
// It returns "" if there is none.
func IgnoreAnnotation(annotations map[string]string) (annotation string, alone bool) {
	for _, key := range ignoreAnnotations {
		value, there := annotations[key]
		switch {
		case !there:
		case value == "true", value == "sync_only":
			return key + "=" + value, value == "true"
		default:
			return "", false
		}
	}
	return "", false
}

func ignoredInFile(meta map[string]any, file string, line int) string {
	raw, _ := meta["annotations"].(map[string]any)
	annotations := make(map[string]string, len(raw))
	for k, v := range raw {
		annotations[k] = fmt.Sprint(v)
	}
	if a, alone := IgnoreAnnotation(annotations); alone {
		return fmt.Sprintf("annotation %s at %s:%d", a, file, line)
	}
	return ""
}

// serverOwned are the fields of metadata that only the cluster may write. They
// come with manifests that were saved from a cluster.
var serverOwned = []string{"creationTimestamp", "deletionTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"}

// prepare makes content what is sent: it changes content.
func prepare(content, meta map[string]any, obj *Object, o Options) ([]byte, error) {
	delete(content, "status")
	for _, field := range serverOwned {
		delete(meta, field)
	}
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	}
	if !label(meta, o) {
		obj.fail("metadata.labels is not a map", "Labels are written as key: value.")
		return nil, nil
	}
	if obj.Ref.Group == "" && obj.Ref.Kind == "Secret" {
		if key := undecodable(content); key != "" {
			obj.fail(fmt.Sprintf("data.%s is not base64", key), "Encode it, or write it as plain text under stringData.")
			return nil, nil
		}
		encodeStringData(content)
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", obj.Ref, err)
	}
	return body, nil
}

func label(meta map[string]any, o Options) bool {
	labels, ok := meta["labels"].(map[string]any)
	if !ok {
		if meta["labels"] != nil {
			return false
		}
		labels = map[string]any{}
		meta["labels"] = labels
	}
	labels[o.Label] = o.Member
	return true
}

// undecodable returns the first key of a Secret's data whose value is not
// base64, or "". The API server calls that an internal error, and quotes it.
func undecodable(content map[string]any) string {
	data, _ := content["data"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if data[key] == nil {
			continue
		}
		s, ok := data[key].(string)
		if _, err := base64.StdEncoding.DecodeString(s); err != nil || !ok {
			return key
		}
	}
	return ""
}

// encodeStringData moves stringData to data, as the API server would. Left
// where it is, our field manager would own stringData, and a change of data by
// somebody else would go unseen.
func encodeStringData(content map[string]any) {
	plain, ok := content["stringData"].(map[string]any)
	if !ok {
		return
	}
	data, ok := content["data"].(map[string]any)
	if !ok {
		if content["data"] != nil {
			return // malformed; the API server says how
		}
		data = map[string]any{}
	}
	for key, value := range plain {
		s, ok := value.(string)
		if !ok {
			return
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	content["data"] = data
	delete(content, "stringData")
}
