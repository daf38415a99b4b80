package releases

import (
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// pointer is a JSON pointer, taken apart: the names of fields, and the numbers
// of elements of lists.
type pointer []string

// parsePointer takes a JSON pointer apart.
func parsePointer(text string) pointer {
	parts := strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i, part := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
	}
	return parts
}

// get returns what is at p, not a copy of it.
func (p pointer) get(in any) (value any, ok bool) {
	for _, name := range p {
		switch at := in.(type) {
		case map[string]any:
			if in, ok = at[name]; !ok {
				return nil, false
			}
		case []any:
			i, ok := element(at, name)
			if !ok {
				return nil, false
			}
			in = at[i]
		default:
			return nil, false
		}
	}
	return in, true
}

// set puts a value in the place of the one that is at p.
func (p pointer) set(in, value any) {
	last := len(p) - 1
	parent, _ := p[:last].get(in)
	switch at := parent.(type) {
	case map[string]any:
		at[p[last]] = value
	case []any:
		if i, ok := element(at, p[last]); ok {
			at[i] = value
		}
	}
}

// remove takes away what is at p.
func (p pointer) remove(from any) {
	last := len(p) - 1
	parent, _ := p[:last].get(from)
	switch at := parent.(type) {
	case map[string]any:
		delete(at, p[last])
	case []any:
		if i, ok := element(at, p[last]); ok && last > 0 {
			p[:last].set(from, slices.Delete(slices.Clone(at), i, i+1))
		}
	}
}

// in reports whether a set of fields has what is at p, or a part of it. Such sets
// do not count the elements of lists: it has each of a list that it has.
func (p pointer) in(set *fieldpath.Set) bool {
	for _, name := range p {
		if _, err := strconv.Atoi(name); err == nil {
			return true
		}
		field := fieldpath.PathElement{FieldName: &name}
		inside := set.WithPrefix(field)
		if inside.Empty() {
			return set.Members.Has(field)
		}
		set = inside
	}
	return true
}

// element is the index that a name in a pointer is, if the list has it.
func element(list []any, name string) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil && i >= 0 && i < len(list)
}
