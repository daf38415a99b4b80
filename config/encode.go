package config

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// encoder turns the value of one argument into its JSON forms, converting and
// checking each element where it stands.
type encoder struct {
	d    *bodyDecoder
	attr *schema.Attribute
}

// spot is the place of a value and how the user would name it: proxy.port.
type spot struct {
	*place
	name string
}

func (s spot) key(name string) spot { return spot{s.child(name), s.name + "." + name} }

func (s spot) item(i int) spot {
	p := &place{rng: s.rng}
	if i < len(s.items) {
		p = s.items[i]
	}
	return spot{p, fmt.Sprintf("%s[%d]", s.name, i)}
}

// encode returns v, of type t, as the plugin gets it and as people may see it.
// hide says that v is sensitive by its place; its marks may say so too.
func (e encoder) encode(v cty.Value, t schema.Type, at spot, hide bool) (real, shown any) {
	hide = hide || v.IsMarked()
	v, _ = v.Unmark()
	typ := v.Type()
	byName, inOrder := typ.IsObjectType() || typ.IsMapType(), typ.IsTupleType() || typ.IsListType() || typ.IsSetType()
	switch {
	case typ.Equals(referenceType):
		e.d.errorf(at.rng, "Not a place for a reference", "%q takes %s; references stand only in the arguments that the host owns, such as source, applier and depends_on.", at.name, typeName(t))
		return nil, nil
	case v.IsNull() && t.Kind == schema.Any:
		return nil, nil
	case v.IsNull():
		return e.mismatch(v, t, at)
	case inOrder && (t.Kind == schema.ListOf || t.Kind == schema.Any):
		return e.list(v, t, at, hide)
	case byName && t.Kind == schema.Object:
		return e.fields(v, t, at, hide)
	case byName && (t.Kind == schema.MapOf || t.Kind == schema.Any):
		return e.byKey(v, t, at, hide)
	case inOrder || byName || t.Kind == schema.ListOf || t.Kind == schema.MapOf || t.Kind == schema.Object:
		return e.mismatch(v, t, at)
	}
	return e.scalar(v, t, at, hide)
}

func (e encoder) mismatch(v cty.Value, t schema.Type, at spot) (real, shown any) {
	e.d.errorf(at.rng, "Wrong type of value", "%q takes %s, not %s.", at.name, typeName(t), typeOf(v))
	return nil, nil
}

// scalar converts a string, number or bool as HCL does: "3" is a number.
func (e encoder) scalar(v cty.Value, t schema.Type, at spot, hide bool) (real, shown any) {
	want := v.Type()
	if want.Equals(cty.Number) {
		if f := v.AsBigFloat(); f.IsInf() {
			e.d.errorf(at.rng, "Wrong value", "%q takes a finite value; this is a division by zero.", at.name)
			return nil, nil
		} else if n, _ := f.Float64(); math.IsInf(n, 0) {
			e.d.errorf(at.rng, "Wrong value", "%q takes a number of at most 1.8e308; this one is larger.", at.name)
			return nil, nil
		}
	}
	switch {
	case t.Kind == schema.String, e.attr.Format == schema.FormatBytes:
		want = cty.String
	case t.Kind == schema.Number:
		want = cty.Number
	case t.Kind == schema.Bool:
		want = cty.Bool
	}
	got, err := convert.Convert(v, want)
	if err != nil {
		return e.mismatch(v, t, at)
	}
	switch want {
	case cty.String:
		return e.text(got.AsString(), at, hide)
	case cty.Number:
		n := json.Number(number(got.AsBigFloat()))
		return e.keep(n, n.String(), hide)
	}
	return e.keep(got.True(), "", hide)
}

// text checks the format and the allowed values of a string.
func (e encoder) text(s string, at spot, hide bool) (real, shown any) {
	var checked any
	var err error
	if len(e.attr.Enum) > 0 && !slices.Contains(e.attr.Enum, s) {
		err = oneOf(e.attr.Enum, s)
	} else {
		checked, err = e.d.l.checkFormat(s, e.attr.Format, at.rng)
	}
	if err == nil {
		return e.keep(checked, s, hide)
	}
	written := quote(s)
	if hide {
		written = secret.Redacted
	}
	e.d.errorf(at.rng, "Wrong value", "%s is no value for %q: %s.", written, at.name, err)
	return nil, nil
}

// keep remembers the text of a sensitive value for scrubbing.
func (e encoder) keep(real any, text string, hide bool) (any, any) {
	if !hide {
		return real, real
	}
	if text != "" {
		e.d.secrets[text] = struct{}{}
		e.d.l.secret(text)
	}
	return real, secret.Redacted
}

func (e encoder) list(v cty.Value, t schema.Type, at spot, hide bool) (any, any) {
	real, shown := []any{}, []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, elem := it.Element()
		r, s := e.encode(elem, elemType(t), at.item(len(real)), hide)
		real, shown = append(real, r), append(shown, s)
	}
	return real, shown
}

func (e encoder) byKey(v cty.Value, t schema.Type, at spot, hide bool) (any, any) {
	real, shown := map[string]any{}, map[string]any{}
	for it := v.ElementIterator(); it.Next(); {
		key, elem := it.Element()
		name := key.AsString()
		r, s := e.encode(elem, elemType(t), at.key(name), hide)
		real[name], shown[e.shownKey(name, hide)] = r, s
	}
	return real, shown
}

// shownKey is the key name of an object as people may see it. A secret in a key
// makes the whole object sensitive.
func (e encoder) shownKey(name string, hide bool) string {
	if !hide {
		return name
	}
	for known := range e.d.l.secrets {
		if known == name || len(known) >= minScrub && strings.Contains(name, known) {
			return secret.Redacted
		}
	}
	return name
}

// fields encodes an object with known fields. Optional ones that are absent or
// null are left out.
func (e encoder) fields(v cty.Value, t schema.Type, at spot, hide bool) (any, any) {
	values := v.AsValueMap()
	real, shown := map[string]any{}, map[string]any{}
	known := make([]string, 0, len(t.Fields))
	for _, f := range t.Fields {
		known = append(known, f.Name)
		elem, set := values[f.Name]
		if set && f.Optional {
			unmarked, _ := elem.Unmark()
			set = !unmarked.IsNull()
		}
		switch {
		case set:
			real[f.Name], shown[f.Name] = e.encode(elem, f.Type, at.key(f.Name), hide)
		case !f.Optional:
			e.d.errorf(at.rng, "Missing field", "%q needs the field %q.", at.name, f.Name)
		}
	}
	for it := v.ElementIterator(); it.Next(); {
		key, _ := it.Element()
		if name := key.AsString(); !slices.Contains(known, name) {
			e.d.errorf(at.child(name).rng, "Unknown field", "%q has no field %q.%s", at.name, name, didYouMean(name, known))
		}
	}
	return real, shown
}

// child returns the place of the element name, or of the whole.
func (p *place) child(name string) *place {
	if c := p.names[name]; c != nil {
		return c
	}
	return &place{rng: p.rng}
}

// maxDigits is how many digits of a number count. HCL calculates with about
// 154, of which the last ones are off.
const maxDigits = 150

// number formats f as JSON does, without an exponent for whole numbers and
// those of ordinary size.
func number(f *big.Float) string {
	const small, large = -20, 70 // powers of two
	exp := f.MantExp(nil)
	switch {
	case f.Sign() == 0:
		return "0"
	case f.IsInt() && exp <= 1024:
		return f.Text('f', 0)
	}
	if len(f.Text('g', -1)) > maxDigits {
		if rounded, _, err := big.ParseFloat(f.Text('g', maxDigits), 10, f.Prec(), big.ToNearestEven); err == nil {
			f = rounded
		}
	}
	if small <= exp && exp <= large {
		return f.Text('f', -1)
	}
	return f.Text('g', -1)
}

func elemType(t schema.Type) schema.Type {
	if t.Elem != nil {
		return *t.Elem
	}
	return schema.Type{Kind: schema.Any}
}

// typeName says for people what a value of type t is.
func typeName(t schema.Type) string {
	switch t.Kind {
	case schema.String:
		return "a string"
	case schema.Number:
		return "a number"
	case schema.Bool:
		return "true or false"
	case schema.ListOf:
		return "a list" + ofElem(t)
	case schema.MapOf:
		return "a map" + ofElem(t)
	case schema.Object:
		return "an object"
	}
	return "any value"
}

func ofElem(t schema.Type) string {
	switch elemType(t).Kind {
	case schema.String:
		return " of strings"
	case schema.Number:
		return " of numbers"
	case schema.ListOf:
		return " of lists"
	case schema.MapOf, schema.Object:
		return " of objects"
	}
	return ""
}
