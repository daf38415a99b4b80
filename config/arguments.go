package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// arguments gives typed access to the host-owned arguments of one block. Each
// method returns its default where the argument is absent, null or wrong.
type arguments struct {
	l      *loader
	header hcl.Range
	attrs  hcl.Attributes
	blocks hcl.Blocks
	sc     scope
}

// arguments checks the names in b, which holds nothing but what s says.
func (l *loader) arguments(b *hclsyntax.Block, s schema.Schema, sc scope) *arguments {
	nameChecker{l: l}.check(b.Body, &s, describe(b))
	return l.content(b.Body, b.DefRange(), s, sc)
}

// content takes what s says out of body.
func (l *loader) content(body hcl.Body, header hcl.Range, s schema.Schema, sc scope) *arguments {
	content, _, diags := body.PartialContent(bodySchema(&s))
	l.hcl(diags)
	a := &arguments{l: l, header: header, attrs: content.Attributes, blocks: content.Blocks, sc: sc}
	for _, want := range s.Attributes {
		if want.Required && a.absent(want.Name) {
			l.errorf(header, "Missing argument", "The argument %q is required.", want.Name)
		}
	}
	return a
}

// absent reports whether the argument name is not set, or null.
func (a *arguments) absent(name string) bool {
	attr := a.attrs[name]
	if attr == nil {
		return true
	}
	v, ok := a.l.eval(attr.Expr, a.sc)
	return ok && v.IsNull()
}

// block returns the arguments of the only block named name; nil if there is none.
func (a *arguments) block(name string, s schema.Schema) *arguments {
	var found *hcl.Block
	for _, b := range a.blocks {
		if b.Type != name {
			continue
		}
		if found != nil {
			a.l.errorf(b.DefRange, "Duplicate block", "There is already a block %q at %s.", name, toRange(found.DefRange))
			continue
		}
		found = b
	}
	if found == nil {
		return nil
	}
	return a.l.content(found.Body, found.DefRange, s, a.sc)
}

// value evaluates the argument name and converts it to typ.
func (a *arguments) value(name string, typ cty.Type) (v cty.Value, at hcl.Range, ok bool) {
	attr := a.attrs[name]
	if attr == nil {
		return cty.NilVal, a.header, false
	}
	at = attr.Expr.Range()
	v, ok = a.l.eval(attr.Expr, a.sc)
	if !ok || v.IsNull() {
		return cty.NilVal, at, false
	}
	converted, err := convert.Convert(v, typ)
	if err != nil || converted.IsNull() || !converted.IsWhollyKnown() {
		a.l.errorf(at, "Wrong type of value", "%q takes %s, not %s.", name, wanted(typ), typeOf(v))
		return cty.NilVal, at, false
	}
	return converted, at, true
}

func wanted(typ cty.Type) string {
	switch {
	case typ.Equals(cty.Bool):
		return "true or false"
	case typ.Equals(cty.Map(cty.String)):
		return "a map of strings"
	}
	return "a " + typ.FriendlyName()
}

func (a *arguments) bool(name string, def bool) bool {
	v, _, ok := a.value(name, cty.Bool)
	if !ok {
		return def
	}
	v, _ = v.Unmark()
	return v.True()
}

func (a *arguments) string(name, def string) string {
	v, _, ok := a.value(name, cty.String)
	if !ok {
		return def
	}
	v, _ = v.Unmark()
	return v.AsString()
}

// oneOf returns the argument, which is one of allowed.
func (a *arguments) oneOf(name, def string, allowed ...string) string {
	v, at, ok := a.value(name, cty.String)
	switch {
	case !ok:
		return def
	case slices.Contains(allowed, plain(v)):
		return plain(v)
	}
	a.l.errorf(at, "Wrong value", "%s is no value for %q.%s", a.l.show(v), name, didYouMean(plain(v), allowed))
	return def
}

// path returns the argument as an absolute path.
func (a *arguments) path(name string) string {
	s := a.string(name, "")
	if s == "" {
		return ""
	}
	abs, err := a.l.absolute(s, a.at(name))
	if err != nil {
		a.l.errorf(a.at(name), "Wrong path", "%s.", sentence(err))
	}
	return abs
}

// duration returns the argument, which is at least least.
func (a *arguments) duration(name string, def, least time.Duration) time.Duration {
	v, at, ok := a.value(name, cty.String)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(plain(v))
	switch {
	case err != nil:
		a.l.errorf(at, "Not a duration", "%s is not a duration. Write a number and a unit, such as \"30s\", \"5m\" or \"1h30m\".", a.l.show(v))
		return def
	case d < least:
		a.l.errorf(at, "Duration too short", "%q must be at least %s.", name, least)
		return def
	}
	return d
}

// element is one string of a list, with its place.
type element struct {
	text string
	at   hcl.Range
	ok   bool
}

func (a *arguments) strings(name string) []element {
	attr := a.attrs[name]
	if attr == nil {
		return nil
	}
	v, ok := a.l.eval(attr.Expr, a.sc)
	v, _ = v.UnmarkDeep()
	if !ok || v.IsNull() {
		return nil
	}
	where := exprPlace(attr.Expr)
	if typ := v.Type(); !typ.IsTupleType() && !typ.IsListType() && !typ.IsSetType() {
		a.l.errorf(where.rng, "Wrong type of value", "%q takes a list of strings, not %s.", name, typeOf(v))
		return nil
	}
	elements := []element{}
	for it := v.ElementIterator(); it.Next(); {
		_, elem := it.Element()
		at := spot{where, name}.item(len(elements))
		text, err := convert.Convert(elem, cty.String)
		good := err == nil && !text.IsNull()
		if !good {
			a.l.errorf(at.rng, "Wrong type of value", "%q takes a string, not %s.", at.name, typeOf(elem))
			text = cty.StringVal("")
		}
		elements = append(elements, element{text.AsString(), at.rng, good})
	}
	return slices.DeleteFunc(elements, func(e element) bool { return !e.ok })
}

// at returns the place of the argument's value, or of the block without it.
func (a *arguments) at(name string) hcl.Range {
	if attr := a.attrs[name]; attr != nil {
		return attr.Expr.Range()
	}
	return a.header
}

// plain returns the text of a string, sensitive or not.
func plain(v cty.Value) string {
	v, _ = v.Unmark()
	return v.AsString()
}

// show quotes a value for a message; a sensitive one is redacted.
func (l *loader) show(v cty.Value) string {
	if v.IsMarked() {
		return secret.Redacted
	}
	text, err := convert.Convert(v, cty.String)
	if err != nil || !text.IsKnown() || text.IsNull() {
		return typeOf(v)
	}
	return fmt.Sprintf("%q", text.AsString())
}

// describe names a block as it is written: source "git" "shop".
func describe(b *hclsyntax.Block) string {
	if len(b.Labels) == 0 {
		return "the block " + b.Type
	}
	s := b.Type
	for _, label := range b.Labels {
		s += fmt.Sprintf(" %q", label)
	}
	return s
}
