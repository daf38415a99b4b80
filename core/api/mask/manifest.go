package mask

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Manifest copies YAML documents from r to w, one after the other, and hides what
// is in data and stringData of Secrets, also in those of a List. It returns how
// many Secrets have something hidden.
func Manifest(w io.Writer, r io.Reader) (secrets int, err error) {
	dec, enc := yaml.NewDecoder(r), yaml.NewEncoder(w)
	enc.SetIndent(2)
	for first := true; ; first = false {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF) && first: // Close would complain
			return 0, nil
		case errors.Is(err, io.EOF):
			return secrets, enc.Close()
		case err != nil:
			return secrets, fmt.Errorf("the manifest is no YAML: %w", err)
		}
		for _, root := range doc.Content {
			secrets += hideSecrets(root)
		}
		if err := enc.Encode(&doc); err != nil {
			return secrets, err
		}
	}
}

// hideSecrets changes object, and returns how many Secrets it has hidden something
// of.
func hideSecrets(object *yaml.Node) int {
	n := 0
	switch kind := text(object, "kind"); {
	case strings.HasSuffix(kind, "List"):
		if items := field(object, "items"); items != nil {
			for _, item := range items.Content {
				n += hideSecrets(item)
			}
		}
	case kind == "Secret" && text(object, "apiVersion") == "v1":
		data, plain := hideAll(field(object, "data")), hideAll(field(object, "stringData"))
		if data || plain {
			n++
		}
	}
	return n
}

// field returns the value of a key, nil if there is none.
func field(object *yaml.Node, key string) *yaml.Node {
	if object.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(object.Content); i += 2 {
		if object.Content[i].Value == key {
			return object.Content[i+1]
		}
	}
	return nil
}

func text(object *yaml.Node, key string) string {
	if value := field(object, key); value != nil {
		return value.Value
	}
	return ""
}

// hideAll hides each value of an object, or one that is none. An alias stands for
// what may be shown elsewhere, and is hidden too.
func hideAll(values *yaml.Node) bool {
	switch {
	case values == nil || values.Tag == "!!null":
		return false
	case values.Kind != yaml.MappingNode:
		hide(values)
		return true
	}
	for i := 1; i < len(values.Content); i += 2 {
		hide(values.Content[i])
	}
	return len(values.Content) > 0
}

func hide(value *yaml.Node) {
	*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: Text, Anchor: value.Anchor}
}
