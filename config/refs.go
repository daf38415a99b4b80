package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// reference returns the address that the argument name refers to; "" if it is
// absent or wrong.
func (a *arguments) reference(name string, kinds ...string) string {
	attr := a.attrs[name]
	if attr == nil {
		return ""
	}
	v, ok := a.l.eval(attr.Expr, a.sc)
	if !ok {
		return ""
	}
	r := referrer{l: a.l, name: name, kinds: kinds}
	if instances := r.instancesOf(v); len(instances) > 0 {
		d := instances[0].decl
		a.l.errorf(attr.Expr.Range(), "Several instances", "%s has for_each; name one of its instances, such as %s.", d.address(), instances[0].address)
		return ""
	}
	inst := r.one(v, attr.Expr.Range())
	if inst == nil {
		return ""
	}
	return inst.address
}

// references returns the addresses that the argument name lists, each once. A
// block with for_each stands for all its instances.
func (a *arguments) references(name string, kinds ...string) []string {
	attr := a.attrs[name]
	if attr == nil {
		return nil
	}
	v, ok := a.l.eval(attr.Expr, a.sc)
	v, _ = v.Unmark()
	if !ok || v.IsNull() {
		return nil
	}
	at := exprPlace(attr.Expr)
	if !v.Type().IsTupleType() && !v.Type().IsListType() && !v.Type().IsSetType() {
		a.l.errorf(at.rng, "Wrong type of value", "%q takes a list: write [%s].", name, a.l.written(at.rng))
		return nil
	}
	r := referrer{l: a.l, name: name, kinds: kinds}
	var found []string
	seen := map[*instance]bool{}
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, elem := it.Element()
		rng := at.rng
		if i < len(at.items) {
			rng = at.items[i].rng
		}
		for _, inst := range r.all(elem, rng) {
			if !seen[inst] {
				seen[inst] = true
				found = append(found, inst.address)
			}
		}
	}
	return found
}

// referrer reads the values of the argument name, which takes references to
// blocks of some kinds.
type referrer struct {
	l     *loader
	name  string
	kinds []string
}

// all returns what v refers to: one instance, or those of a block with for_each.
func (r referrer) all(v cty.Value, at hcl.Range) []*instance {
	v, _ = v.Unmark()
	if v.Type().IsObjectType() && v.LengthInt() == 0 {
		return nil // a for_each without elements
	}
	instances := r.instancesOf(v)
	if instances == nil {
		if inst := r.one(v, at); inst != nil {
			return []*instance{inst}
		}
	}
	for _, inst := range instances {
		if !r.rightKind(inst, at) {
			return nil
		}
	}
	return instances
}

// instancesOf returns the instances in the value of a block with for_each; nil
// if v is something else, such as all blocks of a type.
func (r referrer) instancesOf(v cty.Value) []*instance {
	v, _ = v.Unmark()
	if v.IsNull() || !v.Type().IsObjectType() {
		return nil
	}
	var found []*instance
	for it := v.ElementIterator(); it.Next(); {
		_, elem := it.Element()
		if !elem.Type().Equals(referenceType) || elem.IsNull() {
			return nil
		}
		inst := elem.EncapsulatedValue().(*instance)
		if !inst.repeated || len(found) > 0 && inst.decl != found[0].decl {
			return nil
		}
		found = append(found, inst)
	}
	return found
}

// one returns the instance that v refers to; nil, with a diagnostic, if v is
// not a reference of the right kind.
func (r referrer) one(v cty.Value, at hcl.Range) *instance {
	marked := v.IsMarked()
	v, _ = v.Unmark()
	switch {
	case v.IsNull():
		return nil
	case v.Type().Equals(referenceType):
		inst := v.EncapsulatedValue().(*instance)
		if !r.rightKind(inst, at) {
			return nil
		}
		return inst
	case v.Type().Equals(cty.String) && !marked:
		r.l.errorf(at, "Reference expected", "%q takes a reference and not text: %s", r.name, r.l.unquoted(r.kinds, v.AsString()))
	default:
		r.l.errorf(at, "Reference expected", "%q takes a reference such as %s, not %s.", r.name, example(r.kinds[0]), typeOf(v))
	}
	return nil
}

func (r referrer) rightKind(inst *instance, at hcl.Range) bool {
	if slices.Contains(r.kinds, inst.decl.kind) {
		return true
	}
	r.l.errorf(at, "Wrong kind of reference", "%q takes a reference to %s; %s is %s.", r.name, articles(r.kinds), inst.address, article(inst.decl.kind))
	return false
}

// unquoted proposes a reference for the text that stands in its place.
func (l *loader) unquoted(kinds []string, text string) string {
	var known []string
	for _, d := range l.decls {
		if !slices.Contains(kinds, d.kind) {
			continue
		}
		known = append(known, d.address())
		if d.name == text || strings.HasSuffix("."+d.address(), "."+text) {
			return "write " + d.address() + ", without quotes."
		}
	}
	for _, kind := range kinds {
		if best := diag.Nearest(kind+"."+strings.TrimPrefix(text, kind+"."), known); best != "" {
			return "did you mean " + best + ", without quotes?"
		}
	}
	return "write it as " + example(kinds[0]) + ", without quotes."
}

// articles puts articles before kinds: a sync or a release.
func articles(kinds []string) string {
	var all []string
	for _, kind := range kinds {
		all = append(all, article(kind))
	}
	return strings.Join(all, " or ")
}

// article puts the article before a kind.
func article(kind string) string {
	if kind == kindApplier {
		return "an " + kind
	}
	return "a " + kind
}

func example(kind string) string {
	return kind + "." + strings.Join(blockLabels[kind], ".")
}

// written returns the text of a file at r.
func (l *loader) written(r hcl.Range) string {
	src := l.cfg.Files[r.Filename]
	if r.Start.Byte < 0 || r.End.Byte > len(src) || r.Start.Byte > r.End.Byte || r.Start.Line != r.End.Line {
		return "..."
	}
	return string(src[r.Start.Byte:r.End.Byte])
}
