package edit

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// change is a step of an edit: a scalar gets a value, a mapping gets entries,
// or it loses some, or a list gets one more mapping.
type change struct {
	field  field    // the scalar; or the mapping or list, which its owner gets if it is not there
	value  string   // of the scalar
	insert []entry  // sorted by key
	remove []string // keys
	item   []entry  // of the mapping that a list gets
}

// setsValue reports whether the change is one of a scalar.
func (c change) setsValue() bool { return c.insert == nil && c.remove == nil && c.item == nil }

type entry struct{ key, value string }

// setting is a scalar and the value that it should have.
type setting struct {
	field
	want string
}

// sets returns the changes of those settings that do not hold already.
func sets(list ...setting) (changes []change, err error) {
	for _, s := range list {
		text, ok := s.text()
		if ok && text == s.want || s.want == "" && s.isNull() {
			continue
		}
		n := s.value()
		switch {
		case s.twice:
			return nil, s.doc.refuse(n, "the key stands twice")
		case n == nil || n.Kind != yaml.ScalarNode:
			return nil, s.doc.refuse(s.owner, "it is no scalar")
		}
		changes = append(changes, change{field: s.field, value: s.want})
	}
	return changes, nil
}

// planAnnotations returns the changes that set and remove annotations.
func (o *object) planAnnotations(set map[string]string, remove []string) (changes []change, err error) {
	f := o.in("metadata", "annotations")
	var inserted []entry
	for _, key := range sortedKeys(set) {
		at := f.get(key)
		if f.mapping() == nil || !at.isOwn(key) {
			if text, ok := at.text(); !ok || text != set[key] {
				inserted = append(inserted, entry{key, set[key]})
			}
			continue
		}
		if text, _ := at.text(); text == set[key] && !at.isNull() && !at.isString() {
			changes = append(changes, change{field: at, value: set[key]}) // true is not "true"
			continue
		}
		c, err := sets(setting{at, set[key]})
		if err != nil {
			return nil, err
		}
		changes = append(changes, c...)
	}
	if len(inserted) > 0 {
		changes = append(changes, change{field: f, insert: inserted})
	}
	return f.planRemoval(changes, remove)
}

// planRemoval adds the change that removes those of the keys that are there.
func (f field) planRemoval(changes []change, remove []string) ([]change, error) {
	removed := slices.DeleteFunc(slices.Clone(remove), func(key string) bool { return f.get(key).node == nil })
	if len(removed) == 0 {
		return changes, nil
	}
	for _, key := range removed {
		if n, _ := merged(f.mapping(), key, 0); n != nil {
			return nil, f.doc.refuse(f.value(), "%s is merged in from elsewhere", key)
		}
	}
	slices.Sort(removed)
	return append(changes, change{field: f, remove: slices.Compact(removed)}), nil
}

// isOwn reports whether the field's own mapping has the key, which is not only
// merged in.
func (f field) isOwn(key string) bool {
	if f.owner == nil {
		return false
	}
	n, _ := own(f.owner, key)
	return n != nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// usePaths returns the paths at which the document has the value of n, aliases
// and merges followed. ok is false if there are too many to tell.
func (d *doc) usePaths(n *yaml.Node) (paths []string, ok bool) {
	budget := 100_000
	var at []string
	active := map[*yaml.Node]bool{}
	var visit func(v *yaml.Node)
	visitKey := func(key string, v *yaml.Node) {
		at = append(at, strings.ReplaceAll(key, "/", "~"))
		visit(v)
		at = at[:len(at)-1]
	}
	visit = func(v *yaml.Node) {
		v = document.Resolve(v)
		if budget--; budget < 0 || active[v] {
			return
		}
		if v == n {
			paths = append(paths, strings.Join(at, "/"))
		}
		active[v] = true
		defer delete(active, v)
		switch v.Kind {
		case yaml.MappingNode:
			seen := map[string]bool{}
			for _, key := range keys(v, 0) {
				if child, _ := find(v, key, 0); child != nil && !seen[key] {
					seen[key] = true
					visitKey(key, child)
				}
			}
		case yaml.SequenceNode:
			for i, e := range v.Content {
				visitKey(itoa(i), e)
			}
		}
	}
	for i, root := range d.Roots {
		visitKey(itoa(i), root)
	}
	return paths, budget >= 0
}
