package document

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Lookup returns the value of a mapping's key, or nil.
func Lookup(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	n = Resolve(n)
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key && n.Content[i].Kind == yaml.ScalarNode {
			return Resolve(n.Content[i+1])
		}
	}
	return nil
}

// String returns the value of a mapping's key if it is a scalar, else "".
func String(n *yaml.Node, key string) string {
	if v := Lookup(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// ListItems returns the items of a List, or nil if n is none. A kind that ends
// in List but has a name is an object that is called so.
func ListItems(n *yaml.Node) *yaml.Node {
	kind, items := String(n, "kind"), Lookup(n, "items")
	switch {
	case kind == "List":
		if items == nil {
			items = &yaml.Node{Kind: yaml.SequenceNode}
		}
	case !strings.HasSuffix(kind, "List"), items == nil, String(Lookup(n, "metadata"), "name") != "":
		return nil
	}
	return items
}
