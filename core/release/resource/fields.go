package resource

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// fields reads the fields of a JSON object, and collects what is wrong with
// them, each problem with its path. As in Kubernetes, null is as good as
// absent. Values are never quoted, since they may be secret.
type fields struct {
	path     diag.Path
	raw      map[string]json.RawMessage
	known    map[string]bool
	problems *diag.List
}

// objectAt reads raw as an object; one that is absent has no fields, and one
// that is not an object is a problem.
func objectAt(path diag.Path, raw json.RawMessage, problems *diag.List) *fields {
	f := &fields{path: path, known: map[string]bool{}, problems: problems}
	if raw != nil && json.Unmarshal(raw, &f.raw) != nil {
		f.raw = nil
		f.problem(path, "this is %s, not an object with fields", describe(raw))
	}
	return f
}

// at is the path of the field called name.
func (f *fields) at(name string) diag.Path {
	return append(slices.Clone(f.path), diag.Step{Name: name})
}

// take returns the text of a field, nil if it is absent.
func (f *fields) take(name string) json.RawMessage {
	f.known[name] = true
	raw := f.raw[name]
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// has reports whether a field is there.
func (f *fields) has(name string) bool { return f.take(name) != nil }

func (f *fields) text(name string) string {
	var s string
	f.decode(name, "a text", &s)
	return s
}

func (f *fields) flag(name string, fallback bool) bool {
	f.decode(name, "true or false", &fallback)
	return fallback
}

func (f *fields) number(name string, fallback int64) int64 {
	f.decode(name, "a whole number", &fallback)
	return fallback
}

// decode reads a field into v, which stays as it is if the field is absent or
// wrong.
func (f *fields) decode(name, want string, v any) {
	raw := f.take(name)
	if raw != nil && json.Unmarshal(raw, v) != nil {
		f.problem(f.at(name), "this is %s, not %s", describe(raw), want)
	}
}

func (f *fields) object(name string) *fields {
	return objectAt(f.at(name), f.take(name), f.problems)
}

// list returns the objects of a list.
func (f *fields) list(name string) []*fields {
	var items []json.RawMessage
	f.decode(name, "a list", &items)
	out := make([]*fields, 0, len(items))
	for i, raw := range items {
		out = append(out, objectAt(append(f.at(name), diag.Step{Index: i}), raw, f.problems))
	}
	return out
}

// end warns of the fields that nobody asked for.
func (f *fields) end() {
	for _, name := range slices.Sorted(maps.Keys(f.raw)) {
		if f.known[name] {
			continue
		}
		d := diag.Warningf(f.at(name), "there is no such field")
		d.Detail = "It has no effect."
		if near := diag.Nearest(name, slices.Collect(maps.Keys(f.known))); near != "" {
			d.Detail = fmt.Sprintf("It has no effect. Did you mean %s?", near)
		}
		*f.problems = append(*f.problems, d)
	}
}

func (f *fields) problem(path diag.Path, format string, args ...any) {
	*f.problems = append(*f.problems, diag.Errorf(path, format, args...))
}

// advise is a problem with what to do about it.
func (f *fields) advise(path diag.Path, detail, format string, args ...any) {
	d := diag.Errorf(path, format, args...)
	d.Detail = detail
	*f.problems = append(*f.problems, d)
}

func (f *fields) warn(path diag.Path, detail, format string, args ...any) {
	d := diag.Warningf(path, format, args...)
	d.Detail = detail
	*f.problems = append(*f.problems, d)
}

// describe names the type of a JSON value.
func describe(raw json.RawMessage) string {
	switch first := strings.TrimLeft(string(raw[:min(len(raw), 16)]), " \t\r\n"); {
	case strings.HasPrefix(first, `"`):
		return "a text"
	case strings.HasPrefix(first, "{"):
		return "an object"
	case strings.HasPrefix(first, "["):
		return "a list"
	case strings.HasPrefix(first, "t"), strings.HasPrefix(first, "f"):
		return "true or false"
	case strings.HasPrefix(first, "n"):
		return "nothing"
	}
	return "a number"
}
