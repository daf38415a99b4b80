package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// dynamic returns body with its dynamic blocks expanded.
func (l *loader) dynamic(body *hclsyntax.Body, sc scope) (hcl.Body, bool) {
	travs := dynamicNeeds(body, nil)
	ctx, ok := l.context(travs, sc, body.SrcRange.Filename)
	if !ok {
		return nil, false
	}
	return dynblock.Expand(body, ctx, dynblock.OptCheckForEach(refuseSensitive)), true
}

// refuseSensitive keeps dynamic blocks from repeating over a sensitive
// collection: the marks would not reach every block inside.
func refuseSensitive(v cty.Value, expr hcl.Expression, _ *hcl.EvalContext) hcl.Diagnostics {
	if !v.IsMarked() {
		return nil
	}
	return hcl.Diagnostics{{
		Severity: hcl.DiagError,
		Summary:  "Sensitive for_each",
		Detail:   "A dynamic block cannot repeat over a sensitive value. Repeat over what is not sensitive, and look the secrets up inside.",
		Subject:  expr.Range().Ptr(),
	}}
}

// needs returns what the expressions in body refer to, without the iterators
// of dynamic blocks.
func needs(body *hclsyntax.Body, iterators []string) []hcl.Traversal {
	var found []hcl.Traversal
	for _, attr := range inOrder(body.Attributes) {
		found = append(found, without(attr.Expr.Variables(), iterators)...)
	}
	for _, b := range body.Blocks {
		if b.Type != "dynamic" || len(b.Labels) != 1 {
			found = append(found, needs(b.Body, iterators)...)
			continue
		}
		found = append(found, dynamicHeader(b, iterators)...)
		if content := dynamicContent(b); content != nil {
			found = append(found, needs(content, inside(b, iterators))...)
		}
	}
	return found
}

// dynamicNeeds is needs for the headers of dynamic blocks only.
func dynamicNeeds(body *hclsyntax.Body, iterators []string) []hcl.Traversal {
	var found []hcl.Traversal
	for _, b := range body.Blocks {
		if b.Type != "dynamic" || len(b.Labels) != 1 {
			found = append(found, dynamicNeeds(b.Body, iterators)...)
			continue
		}
		found = append(found, dynamicHeader(b, iterators)...)
		if content := dynamicContent(b); content != nil {
			found = append(found, dynamicNeeds(content, inside(b, iterators))...)
		}
	}
	return found
}

func dynamicHeader(b *hclsyntax.Block, iterators []string) []hcl.Traversal {
	var found []hcl.Traversal
	if attr := b.Body.Attributes["for_each"]; attr != nil {
		found = append(found, without(attr.Expr.Variables(), iterators)...)
	}
	if attr := b.Body.Attributes["labels"]; attr != nil {
		found = append(found, without(attr.Expr.Variables(), inside(b, iterators))...)
	}
	return found
}

// inside returns the iterators that the content of the dynamic block b sees.
func inside(b *hclsyntax.Block, iterators []string) []string {
	name := b.Labels[0]
	if attr := b.Body.Attributes["iterator"]; attr != nil {
		if t, diags := hcl.AbsTraversalForExpr(attr.Expr); !diags.HasErrors() {
			name = t.RootName()
		}
	}
	return append(slices.Clone(iterators), name)
}

func without(found []hcl.Traversal, iterators []string) []hcl.Traversal {
	return slices.DeleteFunc(slices.Clone(found), func(t hcl.Traversal) bool {
		return slices.Contains(iterators, t.RootName())
	})
}
