package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// progress is how far the evaluation of a value is.
type progress int

const (
	pending progress = iota
	failed
	done
)

// local is one argument of a locals block.
type local struct {
	attr  *hclsyntax.Attribute
	state progress
	value cty.Value
}

// loadLocals evaluates the locals that nothing asked for, for their mistakes.
func (l *loader) loadLocals() {
	for _, name := range slices.Sorted(maps.Keys(l.locals)) {
		l.localValue(name, l.locals[name].attr.NameRange)
	}
}

// localValue returns the value of a local; at is where it is asked for.
func (l *loader) localValue(name string, at hcl.Range) (cty.Value, bool) {
	loc := l.locals[name]
	if loc.state != pending {
		return loc.value, loc.state == done
	}
	loc.value = cty.DynamicVal
	if !l.enter("local."+name, at) {
		return cty.DynamicVal, false
	}
	defer l.leave()
	v, ok := l.eval(loc.attr.Expr, scope{})
	loc.value, loc.state = v, failed
	if ok {
		loc.state = done
	}
	return loc.value, ok
}
