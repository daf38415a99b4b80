package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// maxInstances bounds one for_each.
const maxInstances = 10_000

// each is the expansion of a declaration: one instance, or one for each
// element of its for_each, sorted by key.
type each struct {
	state     progress
	repeated  bool // has a for_each
	instances []*instance
	reference cty.Value // once it is asked for
}

func (e *each) keys() []string {
	var keys []string
	for _, inst := range e.instances {
		keys = append(keys, inst.key)
	}
	return keys
}

// instance is one declaration as the engine sees it. References evaluate to
// a pointer to it.
type instance struct {
	decl          *decl
	name, address string

	repeated bool // by a for_each, with this element:
	key      string
	value    cty.Value
}

func newInstance(d *decl) *instance {
	return &instance{decl: d, name: d.name, address: d.address()}
}

// newElement returns the instance of d for one element of its for_each. Its
// name has the key in brackets: app["a"].
func newElement(d *decl, key string, value cty.Value) *instance {
	in := "[" + string(hclwrite.TokensForValue(cty.StringVal(key)).Bytes()) + "]"
	return &instance{decl: d, name: d.name + in, address: d.address() + in, repeated: true, key: key, value: value}
}

// referenceType is the type of an expression such as source.git.shop.
var referenceType = cty.Capsule("reference", reflect.TypeFor[instance]())

// reference returns what the address of d means in an expression: a reference,
// or with for_each an object of references by key.
func (l *loader) reference(d *decl, at hcl.Range) (cty.Value, bool) {
	if !l.expand(d, at) {
		return cty.DynamicVal, false
	}
	if d.each.reference == cty.NilVal {
		d.each.reference = d.each.value()
	}
	return d.each.reference, true
}

func (e *each) value() cty.Value {
	if !e.repeated {
		return cty.CapsuleVal(referenceType, e.instances[0])
	}
	byKey := map[string]cty.Value{}
	for _, inst := range e.instances {
		byKey[inst.key] = cty.CapsuleVal(referenceType, inst)
	}
	return cty.ObjectVal(byKey)
}

// expand evaluates the for_each of d, once.
func (l *loader) expand(d *decl, at hcl.Range) bool {
	if d.each.state != pending {
		return d.each.state == done
	}
	attr := d.block.Body.Attributes["for_each"]
	if attr == nil {
		d.each = each{state: done, instances: []*instance{newInstance(d)}}
		l.index(d)
		return true
	}
	if !l.enter(d.address(), at) {
		return false
	}
	defer l.leave()
	d.each.repeated = true
	elements, ok := l.forEach(attr)
	d.each.state = failed
	if !ok {
		return false
	}
	for _, key := range slices.Sorted(maps.Keys(elements)) {
		d.each.instances = append(d.each.instances, newElement(d, key, elements[key]))
	}
	d.each.state = done
	l.index(d)
	return true
}

func (l *loader) index(d *decl) {
	for _, inst := range d.each.instances {
		l.instances[inst.address] = inst
	}
}

// forEach evaluates a for_each to its elements by key: of a map or object its
// own, of a set or list of strings the strings themselves.
func (l *loader) forEach(attr *hclsyntax.Attribute) (map[string]cty.Value, bool) {
	at := attr.Expr.Range()
	v, ok := l.eval(attr.Expr, scope{})
	if !ok {
		return nil, false
	}
	typ := v.Type()
	switch {
	case v.IsMarked():
		l.errorf(at, "Sensitive for_each", "The keys of for_each become part of addresses, which are printed. Build them from values that are not sensitive.")
		return nil, false
	case v.IsNull() || !v.CanIterateElements():
		l.errorf(at, "Wrong for_each", "for_each takes a map, an object, or a list or set of strings, not %s.", typeOf(v))
		return nil, false
	case v.LengthInt() > maxInstances:
		l.errorf(at, "Too many instances", "for_each may have at most %d elements; this one has %d.", maxInstances, v.LengthInt())
		return nil, false
	}
	byKey := typ.IsMapType() || typ.IsObjectType()
	elements := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		key, elem := it.Element()
		if !byKey {
			key = elem
		}
		if !l.addElement(elements, key, elem, at) {
			return nil, false
		}
	}
	return elements, true
}

func (l *loader) addElement(elements map[string]cty.Value, key, elem cty.Value, at hcl.Range) bool {
	if key.IsMarked() {
		l.errorf(at, "Sensitive for_each", "The keys of for_each become part of addresses, which are printed. Build them from values that are not sensitive.")
		return false
	}
	text, err := convert.Convert(key, cty.String)
	if err != nil || text.IsNull() {
		l.errorf(at, "Wrong for_each", "The elements of a list in for_each must be strings; one is %s.", typeOf(key))
		return false
	}
	name := text.AsString()
	if name == "" || strings.ContainsFunc(name, isControl) {
		l.errorf(at, "Wrong for_each", "The key %q cannot stand in an address: keys are not empty and hold no control characters.", name)
		return false
	}
	if _, dup := elements[name]; dup {
		l.errorf(at, "Wrong for_each", "The key %q occurs twice.", name)
		return false
	}
	elements[name] = elem
	return true
}

// typeOf names the type of v for people.
func typeOf(v cty.Value) string {
	switch typ := v.Type(); {
	case v.IsNull():
		return "null"
	case typ.Equals(referenceType):
		return "a reference"
	case typ.Equals(cty.Bool), typ.Equals(cty.Number), typ.Equals(cty.String):
		return "a " + typ.FriendlyName()
	case typ.IsObjectType() && holdsReference(typ):
		return "a group of references"
	case typ.IsObjectType(), typ.IsMapType():
		return "an object"
	case typ.IsTupleType(), typ.IsListType(), typ.IsSetType():
		return "a list"
	default:
		return typ.FriendlyName()
	}
}

func holdsReference(object cty.Type) bool {
	for _, typ := range object.AttributeTypes() {
		if typ.Equals(referenceType) || typ.IsObjectType() && holdsReference(typ) {
			return true
		}
	}
	return false
}
