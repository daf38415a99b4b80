package document

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// deepest bounds how many mappings merge each other.
const deepest = 20

// Child returns the value at one step below n, also if a mapping that n merges
// in has it, and the node that names it: nil if there is none.
func Child(n *yaml.Node, step diag.Step) (key, value *yaml.Node) { return child(n, step, 0) }

func child(n *yaml.Node, step diag.Step, depth int) (key, value *yaml.Node) {
	n = Resolve(n)
	switch {
	case depth > deepest:
		return nil, nil
	case n.Kind == yaml.SequenceNode:
		if step.Name == "" && step.Index >= 0 && step.Index < len(n.Content) {
			return n.Content[step.Index], n.Content[step.Index]
		}
		return nil, nil
	case n.Kind != yaml.MappingNode:
		return nil, nil
	}
	name := step.Name
	if name == "" {
		name = fmt.Sprint(step.Index)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; !IsMerge(k) && Resolve(k).Value == name {
			return k, n.Content[i+1]
		}
	}
	return merged(n, step, depth)
}

// merged looks a step up in the mappings that n merges in.
func merged(n *yaml.Node, step diag.Step, depth int) (key, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !IsMerge(n.Content[i]) {
			continue
		}
		sources := []*yaml.Node{n.Content[i+1]}
		if list := Resolve(sources[0]); list.Kind == yaml.SequenceNode {
			sources = slices.Clone(list.Content)
		}
		for _, source := range sources {
			if key, value := child(source, step, depth+1); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}
