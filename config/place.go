package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// place is a tree of the ranges of a block's content, in the shape of the JSON
// that the plugin gets.
type place struct {
	rng   hcl.Range
	names map[string]*place
	items []*place
}

// add records where the attribute or block name stands.
func (p *place) add(name string, child *place) {
	if p.names == nil {
		p.names = map[string]*place{}
	}
	p.names[name] = child
}

// find returns the range of the deepest part of path that p knows. An index
// into something that stands once, such as auth[0].token, is passed over.
func (p *place) find(path diag.Path) diag.Range {
	for i, step := range path {
		var next *place
		switch {
		case step.Name != "":
			next = p.names[step.Name]
		case step.Index >= 0 && step.Index < len(p.items):
			next = p.items[step.Index]
		case step.Index == 0 && i > 0 && p.items == nil:
			next = p
		}
		if next == nil {
			break
		}
		p = next
	}
	return toRange(p.rng)
}

// at returns the place of exactly path; nil if it is not spelled out.
func (p *place) at(path diag.Path) *place {
	for _, step := range path {
		switch {
		case p == nil:
			return nil
		case step.Name != "":
			p = p.names[step.Name]
		case step.Index >= 0 && step.Index < len(p.items):
			p = p.items[step.Index]
		default:
			return nil
		}
	}
	return p
}

// exprPlace returns the places of the elements that expr spells out. What a
// reference, a call or a for expression yields has the place of the whole.
func exprPlace(expr hcl.Expression) *place {
	p := &place{rng: expr.Range()}
	switch e := unwrap(expr).(type) {
	case *hclsyntax.TupleConsExpr:
		for _, item := range e.Exprs {
			p.items = append(p.items, exprPlace(item))
		}
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			key, diags := item.KeyExpr.Value(nil)
			if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String {
				continue
			}
			p.add(key.AsString(), exprPlace(item.ValueExpr))
		}
	}
	return p
}

// unwrap removes parentheses and the wrapper that a dynamic block puts around
// the expressions of its content.
func unwrap(expr hcl.Expression) hcl.Expression {
	for {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		case interface{ UnwrapExpression() hcl.Expression }:
			expr = e.UnwrapExpression()
		default:
			return expr
		}
	}
}
