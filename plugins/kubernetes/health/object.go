package health

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// object reads fields of an object; what is missing or malformed is zero.
type object struct{ content map[string]any }

func (o object) int(path ...string) int64 {
	v, _, _ := unstructured.NestedFieldNoCopy(o.content, path...)
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case string: // some controllers quote their numbers
		i, _ := strconv.ParseInt(n, 10, 64)
		return i
	}
	return 0
}

// intOr is int with a default for a field that is not there.
func (o object) intOr(otherwise int64, path ...string) int64 {
	if _, there, _ := unstructured.NestedFieldNoCopy(o.content, path...); !there {
		return otherwise
	}
	return o.int(path...)
}

func (o object) string(path ...string) string {
	s, _, _ := unstructured.NestedString(o.content, path...)
	return s
}

func (o object) bool(path ...string) bool {
	b, _, _ := unstructured.NestedBool(o.content, path...)
	return b
}

func (o object) list(path ...string) []object {
	v, _, _ := unstructured.NestedFieldNoCopy(o.content, path...)
	items, _ := v.([]any)
	out := make([]object, 0, len(items))
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			out = append(out, object{m})
		}
	}
	return out
}

// behind tells whether the status is about an older generation. An object
// without observedGeneration, or with one that is no number, does not tell.
func (o object) behind() bool {
	if text := o.string("status", "observedGeneration"); text != "" && o.int("status", "observedGeneration") == 0 {
		return false
	}
	seen := o.intOr(-1, "status", "observedGeneration")
	return seen >= 0 && seen < o.int("metadata", "generation")
}

// condition is one entry of status.conditions; nil if there is none.
type condition struct{ object }

func (o object) condition(kind string) *condition {
	for _, c := range o.list("status", "conditions") {
		if c.string("type") == kind {
			return &condition{c}
		}
	}
	return nil
}

func (c *condition) is(status string) bool { return c != nil && c.string("status") == status }

func (c *condition) reason() string {
	if c == nil {
		return ""
	}
	return c.string("reason")
}

func (c *condition) text() string {
	if c == nil {
		return ""
	}
	reason, message := c.string("reason"), c.string("message")
	switch {
	case message == "":
		return reason
	case reason == "":
		return message
	}
	return fmt.Sprintf("%s: %s", reason, message)
}
