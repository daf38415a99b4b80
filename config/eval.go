package config

import (
	"fmt"
	"path/filepath"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// scope says what an expression may use beyond variables, locals, references
// and functions.
type scope struct {
	each     *instance // what each.key and each.value mean; nil: nothing
	constant string    // if set, names what must not refer to anything
}

// mark is the type of the marks that this package puts on values.
type mark string

// sensitive marks values that must not be printed. It spreads through
// expressions.
const sensitive = mark("sensitive")

// eval evaluates expr. It reports what is wrong and returns ok = false; so it
// does, silently, where the value depends on one that failed before.
func (l *loader) eval(expr hcl.Expression, sc scope) (cty.Value, bool) {
	ctx, ok := l.context(expr.Variables(), sc, expr.Range().Filename)
	if !ok {
		return cty.DynamicVal, false
	}
	v, diags := expr.Value(ctx)
	if !l.hcl(sc.explain(diags)) || !v.IsWhollyKnown() {
		return cty.DynamicVal, false
	}
	return v, true
}

// explain adds the key to what is wrong for one element of a for_each and may
// be right for the others.
func (sc scope) explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if d.Summary == "Invalid index" && sc.each != nil && sc.each.repeated {
			d.Detail += fmt.Sprintf(" Here each.key is %q.", sc.each.key)
		}
	}
	return diags
}

// context returns what the expressions of file with these traversals need:
// nothing more, so that locals and for_each are evaluated when first used, in
// any order, and cycles are found.
func (l *loader) context(needs []hcl.Traversal, sc scope, file string) (*hcl.EvalContext, bool) {
	roots := tree{}
	ok := true
	for _, t := range needs {
		ok = l.resolve(t, sc, roots) && ok
	}
	if !ok {
		return nil, false
	}
	ctx := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: l.functionsFor(filepath.Dir(file))}
	for name, v := range roots {
		ctx.Variables[name] = value(v)
	}
	return ctx, true
}

// tree is a value under construction: each element is a tree or a cty.Value.
type tree map[string]any

// set puts v at path.
func (t tree) set(v cty.Value, path ...string) {
	last := len(path) - 1
	for _, name := range path[:last] {
		next, ok := t[name].(tree)
		if !ok {
			next = tree{}
			t[name] = next
		}
		t = next
	}
	t[path[last]] = v
}

func value(v any) cty.Value {
	t, ok := v.(tree)
	if !ok {
		return v.(cty.Value)
	}
	attrs := make(map[string]cty.Value, len(t))
	for name, v := range t {
		attrs[name] = value(v)
	}
	return cty.ObjectVal(attrs)
}

// enter notes that the value of id is being evaluated. If it is already, it
// reports the cycle and returns false.
func (l *loader) enter(id string, at hcl.Range) bool {
	for i, waiting := range l.evaluating {
		if waiting == id {
			l.errorf(at, "Dependency cycle", "The value depends on itself: %s.", chain(append(l.evaluating[i:len(l.evaluating):len(l.evaluating)], id)))
			return false
		}
	}
	l.evaluating = append(l.evaluating, id)
	return true
}

func (l *loader) leave() { l.evaluating = l.evaluating[:len(l.evaluating)-1] }
