package config

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

// nameChecker reports the arguments and blocks that a schema does not have.
type nameChecker struct {
	l  *loader
	by string // who declares the schema: ` (declared by plugin git 1.4.2)`, or ""
}

// check compares body, which is what, such as `source "git"`, with s. It looks
// at the text and not at the values, so that a mistake in a dynamic block is
// reported once.
func (c nameChecker) check(body *hclsyntax.Body, s *schema.Schema, what string) {
	for _, attr := range inOrder(body.Attributes) {
		if findAttribute(s, attr.Name) == nil {
			c.unknownAttribute(attr, s, what)
		}
	}
	for _, b := range body.Blocks {
		name, inner, at := b.Type, b.Body, b.TypeRange
		if b.Type == "dynamic" && len(b.Labels) == 1 {
			name, inner, at = b.Labels[0], dynamicContent(b), b.LabelRanges[0]
		}
		found := findBlock(s, name)
		switch {
		case found == nil:
			c.unknownBlock(name, at, s, what)
		case inner != nil:
			c.check(inner, &found.Body, fmt.Sprintf("block %q", name))
		}
	}
}

func (c nameChecker) unknownAttribute(attr *hclsyntax.Attribute, s *schema.Schema, what string) {
	if findBlock(s, attr.Name) != nil {
		c.l.errorf(attr.NameRange, "Block expected", "%q is a block: write %s { ... } without the equals sign.", attr.Name, attr.Name)
		return
	}
	c.l.errorf(attr.NameRange, "Unknown argument", "%s has no argument %q%s.%s", upperFirst(what), attr.Name, c.by, didYouMean(attr.Name, namesOf(s)))
}

func (c nameChecker) unknownBlock(name string, at hcl.Range, s *schema.Schema, what string) {
	if findAttribute(s, name) != nil {
		c.l.errorf(at, "Argument expected", "%q is an argument: write %s = ... with an equals sign.", name, name)
		return
	}
	c.l.errorf(at, "Unknown block", "%s has no block %q%s.%s", upperFirst(what), name, c.by, didYouMean(name, namesOf(s)))
}

// dynamicContent returns the content block of a dynamic block; nil if there is none.
func dynamicContent(b *hclsyntax.Block) *hclsyntax.Body {
	for _, inner := range b.Body.Blocks {
		if inner.Type == "content" {
			return inner.Body
		}
	}
	return nil
}

func findAttribute(s *schema.Schema, name string) *schema.Attribute {
	for i := range s.Attributes {
		if s.Attributes[i].Name == name {
			return &s.Attributes[i]
		}
	}
	return nil
}

func findBlock(s *schema.Schema, name string) *schema.Block {
	for i := range s.Blocks {
		if s.Blocks[i].Name == name {
			return &s.Blocks[i]
		}
	}
	return nil
}

func namesOf(s *schema.Schema) []string {
	var names []string
	for _, a := range s.Attributes {
		names = append(names, a.Name)
	}
	for _, b := range s.Blocks {
		names = append(names, b.Name)
	}
	return names
}

// merge returns a schema with everything in host and plugin, host first.
func merge(host, plugin schema.Schema) *schema.Schema {
	return &schema.Schema{
		Attributes: append(host.Attributes[:len(host.Attributes):len(host.Attributes)], plugin.Attributes...),
		Blocks:     append(host.Blocks[:len(host.Blocks):len(host.Blocks)], plugin.Blocks...),
	}
}

// bodySchema is s as HCL wants it. Nothing is required there: a missing
// argument is reported in this package's words.
func bodySchema(s *schema.Schema) *hcl.BodySchema {
	out := &hcl.BodySchema{}
	for _, a := range s.Attributes {
		out.Attributes = append(out.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for _, b := range s.Blocks {
		header := hcl.BlockHeaderSchema{Type: b.Name}
		if b.Nesting == schema.Map {
			header.LabelNames = []string{"name"}
			if len(b.Labels) > 0 {
				header.LabelNames = b.Labels[:1]
			}
		}
		out.Blocks = append(out.Blocks, header)
	}
	return out
}
