package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// howDiffer says in which field an object would not be what is wanted. It tells
// no values, which may be secret.
func howDiffer(want, have []byte) string {
	var w, h any
	if json.Unmarshal(want, &w) != nil || json.Unmarshal(have, &h) != nil {
		return "would not be as it should"
	}
	return differAt("", w, h)
}

func differAt(path string, want, have any) string {
	w, isMap := want.(map[string]any)
	h, both := have.(map[string]any)
	if isMap && both {
		for _, key := range slices.Sorted(maps.Keys(w)) {
			at := path + key
			switch v, ok := h[key]; {
			case !ok:
				return "would lack " + at
			case !reflect.DeepEqual(v, w[key]):
				return differAt(at+".", w[key], v)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(h)) {
			if _, ok := w[key]; !ok {
				return fmt.Sprintf("would have %s%s, which is not wanted", path, key)
			}
		}
	}
	list, isList := want.([]any)
	other, both := have.([]any)
	if isList && both && len(list) == len(other) {
		for i := range list {
			if !reflect.DeepEqual(list[i], other[i]) {
				return differAt(fmt.Sprintf("%s%d.", path, i), list[i], other[i])
			}
		}
	}
	if path == "" {
		return "would not be as it should"
	}
	return "would have another " + path[:len(path)-1]
}
