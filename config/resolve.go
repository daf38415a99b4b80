package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// resolve puts what traversal t needs into roots.
func (l *loader) resolve(t hcl.Traversal, sc scope, roots tree) bool {
	if sc.constant != "" {
		l.errorf(t.SourceRange(), "Not a constant", "%s must not refer to other values.", sc.constant)
		return false
	}
	switch root := t.RootName(); {
	case root == "var":
		return l.resolveVariable(t, roots)
	case root == "local":
		return l.resolveLocal(t, roots)
	case root == "each":
		return l.resolveEach(t, sc, roots)
	case slices.Contains(referable, root):
		return l.resolveReference(t, roots)
	default:
		l.errorf(t.SourceRange(), "Unknown name", "%s", l.unknownRoot(t, root))
		return false
	}
}

// unknownRoot explains a name that means nothing at the start of a reference.
func (l *loader) unknownRoot(t hcl.Traversal, root string) string {
	written := strings.Join(steps(t), ".")
	switch {
	case l.variables[root] != nil:
		return fmt.Sprintf("There is no %s. Did you mean var.%[1]s?", root)
	case l.locals[root] != nil:
		return fmt.Sprintf("There is no %s. Did you mean local.%[1]s?", root)
	}
	for _, d := range l.decls {
		if slices.Contains(referable, d.kind) && strings.HasSuffix(d.address(), "."+written) {
			return fmt.Sprintf("There is no %s. Did you mean %s?", written, d.address())
		}
	}
	roots := append([]string{"var", "local", "each"}, referable...)
	if best := diag.Nearest(root, roots); best != "" {
		return fmt.Sprintf("There is no %s. Did you mean %s?", root, best)
	}
	return fmt.Sprintf("There is no %s. Text stands in quotes: %[1]q. References start with %s or %s.",
		root, strings.Join(roots[:len(roots)-1], ", "), roots[len(roots)-1])
}

func (l *loader) resolveVariable(t hcl.Traversal, roots tree) bool {
	names, ok := chosen(t, l.variables)
	if !ok {
		name, _ := step(t, 1)
		l.errorf(t.SourceRange(), "Unknown variable", "There is no variable %q.%s", name, didYouMean(name, slices.Collect(maps.Keys(l.variables))))
		return false
	}
	roots["var"] = ensure(roots["var"])
	for _, name := range names {
		v := l.variables[name]
		ok = v.ok && ok
		roots.set(v.value, "var", name)
	}
	return ok
}

func (l *loader) resolveLocal(t hcl.Traversal, roots tree) bool {
	names, ok := chosen(t, l.locals)
	if !ok {
		name, _ := step(t, 1)
		l.errorf(t.SourceRange(), "Unknown local value", "There is no local value %q.%s", name, didYouMean(name, slices.Collect(maps.Keys(l.locals))))
		return false
	}
	roots["local"] = ensure(roots["local"])
	for _, name := range names {
		v, good := l.localValue(name, t.SourceRange())
		ok = good && ok
		roots.set(v, "local", name)
	}
	return ok
}

// chosen returns the names in all that t may mean: the one after the root, or
// every one where it is computed. It is not ok if there is no such name.
func chosen[V any](t hcl.Traversal, all map[string]V) (names []string, ok bool) {
	name, static := step(t, 1)
	if !static {
		return slices.Sorted(maps.Keys(all)), true
	}
	_, ok = all[name]
	return []string{name}, ok
}

func (l *loader) resolveEach(t hcl.Traversal, sc scope, roots tree) bool {
	name, _ := step(t, 1)
	switch {
	case sc.each == nil || !sc.each.repeated:
		l.errorf(t.SourceRange(), "No for_each here", "each.key and each.value have a meaning only in a block with for_each.")
		return false
	case name != "key" && name != "value":
		l.errorf(t.SourceRange(), "Unknown name", "There are each.key and each.value.")
		return false
	}
	roots.set(cty.StringVal(sc.each.key), "each", "key")
	roots.set(sc.each.value, "each", "value")
	return true
}

// resolveReference puts the references to all blocks below t into roots: one,
// or those of a type where the rest of t is computed, as in source.git[var.x].
func (l *loader) resolveReference(t hcl.Traversal, roots tree) bool {
	written := steps(t)
	found := l.below(written)
	if len(found) == 0 {
		l.errorf(t.SourceRange(), "Unknown reference", "%s", l.unknownReference(written))
		return false
	}
	ok := true
	for _, d := range found {
		v, good := l.reference(d, t.SourceRange())
		if !good {
			ok = false
			continue
		}
		roots.set(v, d.path()...)
		if len(written) > len(d.path()) {
			ok = l.checkKey(d, t, len(d.path())) && ok
		}
	}
	return ok
}

// below returns the declarations whose address starts with path, or the one
// whose address path starts with.
func (l *loader) below(path []string) []*decl {
	full := 1 + len(blockLabels[path[0]])
	if len(path) >= full {
		if d := l.byAddress[strings.Join(path[:full], ".")]; d != nil {
			return []*decl{d}
		}
		return nil
	}
	var found []*decl
	for _, d := range l.decls {
		if have := d.path(); slices.Equal(have[:len(path)], path) {
			found = append(found, d)
		}
	}
	return found
}

// unknownReference explains a reference to a block that is not declared.
func (l *loader) unknownReference(written []string) string {
	kind, address := written[0], strings.Join(written, ".")
	var known []string
	for _, d := range l.decls {
		if d.kind != kind {
			continue
		}
		known = append(known, d.address())
		if d.name == written[len(written)-1] {
			return fmt.Sprintf("There is no %s. Did you mean %s?", address, d.address())
		}
	}
	if len(known) == 0 {
		return fmt.Sprintf("There is no %s: no %s is declared.", address, kind)
	}
	if best := diag.Nearest(address, known); best != "" {
		return fmt.Sprintf("There is no %s. Did you mean %s?", address, best)
	}
	return fmt.Sprintf("There is no %s.%s", address, didYouMean(address, known))
}

// checkKey checks the step of t after the address of d: the key of an instance.
func (l *loader) checkKey(d *decl, t hcl.Traversal, at int) bool {
	key, _ := step(t, at)
	if !d.each.repeated {
		l.errorf(t.SourceRange(), "Nothing behind a reference",
			"%s is one %s and has no parts; write %s.", d.address(), d.kind, d.address())
		return false
	}
	for _, inst := range d.each.instances {
		switch {
		case inst.key != key:
		case len(t) > at+1:
			l.errorf(t.SourceRange(), "Nothing behind a reference", "%s is one %s and has no parts; write %s.", inst.address, d.kind, inst.address)
			return false
		default:
			return true
		}
	}
	l.errorf(t.SourceRange(), "Unknown instance", "%s has no instance %q.%s", d.address(), key, didYouMean(key, d.each.keys()))
	return false
}

// step returns the name or constant key at position i of t; ok is false if t
// is shorter.
func step(t hcl.Traversal, i int) (name string, ok bool) {
	if i >= len(t) {
		return "", false
	}
	switch s := t[i].(type) {
	case hcl.TraverseRoot:
		return s.Name, true
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if key, err := convert.Convert(s.Key, cty.String); err == nil && key.IsKnown() && !key.IsNull() {
			return key.AsString(), true
		}
	}
	return "", false
}

// steps returns the names and constant keys that t starts with.
func steps(t hcl.Traversal) []string {
	var names []string
	for i := range t {
		name, ok := step(t, i)
		if !ok {
			break
		}
		names = append(names, name)
	}
	return names
}

func ensure(v any) tree {
	if t, ok := v.(tree); ok {
		return t
	}
	return tree{}
}
