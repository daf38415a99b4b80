package edit

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// maxMerges bounds how deep << merges are followed.
const maxMerges = 16

// field is a place in a document: the value of a key or of an index.
type field struct {
	doc   *doc
	path  string     // from the document's root, unique
	owner *yaml.Node // the mapping that has the key; nil for others
	node  *yaml.Node // as found, which may be an alias; nil if it is not there
	twice bool       // the key stands twice
}

// value returns the node behind aliases, or nil.
func (f field) value() *yaml.Node {
	if f.node == nil {
		return nil
	}
	return document.Resolve(f.node)
}

// get returns the field of a mapping. What the mapping has itself counts before
// what is merged into it.
func (f field) get(key string) field {
	child := field{doc: f.doc, path: f.path + "/" + strings.ReplaceAll(key, "/", "~")}
	child.owner = f.mapping()
	if child.owner != nil {
		child.node, child.twice = find(child.owner, key, 0)
	}
	return child
}

// mapping returns the field's mapping, or nil.
func (f field) mapping() *yaml.Node {
	if n := f.value(); n != nil && n.Kind == yaml.MappingNode {
		return n
	}
	return nil
}

// find returns the value of a key of a mapping.
func find(m *yaml.Node, key string, depth int) (found *yaml.Node, twice bool) {
	if found, twice = own(m, key); found != nil || depth > maxMerges {
		return found, twice
	}
	return merged(m, key, depth)
}

// merged returns the value of a key that is merged into a mapping.
func merged(m *yaml.Node, key string, depth int) (found *yaml.Node, twice bool) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !document.IsMerge(m.Content[i]) {
			continue
		}
		for _, source := range mergeSources(m.Content[i+1]) {
			if found, twice = find(source, key, depth+1); found != nil {
				return found, twice
			}
		}
	}
	return nil, false
}

// own returns the value of a key that the mapping itself has.
func own(m *yaml.Node, key string) (found *yaml.Node, twice bool) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k := document.Resolve(m.Content[i])
		if k.Kind != yaml.ScalarNode || k.Value != key || document.IsMerge(m.Content[i]) {
			continue
		}
		if found != nil {
			return found, true
		}
		found = m.Content[i+1]
	}
	return found, false
}

// mergeSources returns the mappings that the value of << names.
func mergeSources(n *yaml.Node) (sources []*yaml.Node) {
	n = document.Resolve(n)
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	for _, s := range list {
		if s = document.Resolve(s); s.Kind == yaml.MappingNode {
			sources = append(sources, s)
		}
	}
	return sources
}

// items returns the elements of a sequence.
func (f field) items() []field {
	n := f.value()
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	list := make([]field, len(n.Content))
	for i, e := range n.Content {
		list[i] = field{doc: f.doc, path: f.path + "/" + itoa(i), node: e}
	}
	return list
}

// in follows keys of mappings.
func (f field) in(keys ...string) field {
	for _, k := range keys {
		f = f.get(k)
	}
	return f
}

// text returns the scalar's value as text: numbers as they are printed. ok is
// false for what is no scalar, null or missing.
func (f field) text() (text string, ok bool) {
	n := f.value()
	if n == nil || n.Kind != yaml.ScalarNode {
		return "", false
	}
	v, err := document.Scalar(n)
	if err != nil || v == nil {
		return "", false
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	if x, ok := v.(float64); ok {
		return strconv.FormatFloat(x, 'g', -1, 64), true
	}
	return fmt.Sprint(v), true
}

// isString reports whether the field is a string, and not a number that reads
// the same.
func (f field) isString() bool {
	n := f.value()
	if n == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	v, err := document.Scalar(n)
	_, ok := v.(string)
	return err == nil && ok
}

// isText reports whether the field is a string that is not empty.
func (f field) isText() bool {
	text, _ := f.text()
	return f.isString() && text != ""
}

// isNull reports whether the field is there and has no value.
func (f field) isNull() bool {
	n := f.value()
	if n == nil || n.Kind != yaml.ScalarNode {
		return false
	}
	v, err := document.Scalar(n)
	return err == nil && v == nil
}

func itoa(i int) string { return strconv.Itoa(i) }
