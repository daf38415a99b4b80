package config

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

// envPrefix starts the environment variables that set variables.
const envPrefix = "SLUICE_VAR_"

var (
	variableSchema = schema.Schema{
		Attributes: []schema.Attribute{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}},
		Blocks:     []schema.Block{{Name: "validation", Nesting: schema.List, Body: validationSchema}},
	}
	validationSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "condition"}, {Name: "error_message"}}}
)

// variable is a variable block with its value.
type variable struct {
	name      string
	block     *hclsyntax.Block
	typ       cty.Type // DynamicPseudoType if neither type nor default tells
	defaults  *typeexpr.Defaults
	sensitive bool
	value     cty.Value
	ok        bool
}

// loadVariables gives each declared variable its value.
func (l *loader) loadVariables() {
	for _, b := range l.hostBlocks {
		if b.Type == "variable" {
			v := &variable{name: b.Labels[0], block: b, value: cty.DynamicVal}
			l.variables[v.name] = v
			l.loadVariable(v)
		}
	}
	names := slices.Collect(maps.Keys(l.variables))
	for _, name := range slices.Sorted(maps.Keys(l.options.Variables)) {
		if l.variables[name] == nil {
			l.errorf(hcl.Range{}, "Unknown variable", "A value is given for variable %q, which is not declared.%s", name, didYouMean(name, names))
		}
	}
}

func (l *loader) loadVariable(v *variable) {
	a := l.arguments(v.block, variableSchema, scope{constant: "A variable block"})
	v.sensitive = a.bool("sensitive", false)
	_ = a.string("description", "")
	def, hasDefault, good := l.variableType(v, a)
	if !good {
		return
	}
	raw, from := l.given(v.name)
	switch {
	case from != "":
		v.value, v.ok = l.parseGiven(v, raw, from)
	case hasDefault:
		v.value, v.ok = def, true
	default:
		l.errorf(v.block.DefRange(), "Variable without a value", "Set it with --var %s=VALUE or in the environment as %s%s, or give it a default.", v.name, envPrefix, v.name)
	}
	if v.ok && v.sensitive {
		l.keep(v.value)
		v.value = v.value.Mark(sensitive)
	}
}

// given returns the text that the user set for a variable and where it comes
// from, "" if nowhere.
func (l *loader) given(name string) (raw, from string) {
	if raw, ok := l.options.Variables[name]; ok {
		return raw, "--var " + name
	}
	if raw, ok := l.options.Env(envPrefix + name); ok {
		return raw, envPrefix + name
	}
	return "", ""
}

// variableType sets the type of v and returns its default, converted.
func (l *loader) variableType(v *variable, a *arguments) (def cty.Value, hasDefault, ok bool) {
	v.typ = cty.DynamicPseudoType
	if attr := a.attrs["type"]; attr != nil {
		typ, defaults, diags := typeexpr.TypeConstraintWithDefaults(attr.Expr)
		if !l.hcl(diags) {
			return cty.NilVal, false, false
		}
		v.typ, v.defaults = typ, defaults
	}
	attr := a.attrs["default"]
	if attr == nil {
		return cty.NilVal, false, true
	}
	if v.sensitive {
		l.maskLiterals(attr.Expr)
	}
	def, ok = l.eval(attr.Expr, scope{constant: "The default of a variable"})
	if !ok {
		return cty.NilVal, false, false
	}
	converted, err := v.convert(def)
	if err != nil {
		l.errorf(attr.Expr.Range(), "Wrong type of default", "The default does not fit the type of variable %q: %s.", v.name, err)
		return cty.NilVal, false, false
	}
	if a.attrs["type"] == nil && def.Type().IsPrimitiveType() {
		v.typ = def.Type()
	}
	return converted, true, true
}

func (v *variable) convert(val cty.Value) (cty.Value, error) {
	if v.defaults != nil {
		val = v.defaults.Apply(val)
	}
	return convert.Convert(val, v.typ)
}

// parseGiven converts the text given for v. Text for a variable of type string
// is taken as it is; other types, and none, are written as in a file.
func (l *loader) parseGiven(v *variable, raw, from string) (cty.Value, bool) {
	at := v.block.LabelRanges[0]
	val := cty.StringVal(raw)
	if v.typ != cty.String && !v.typ.IsPrimitiveType() {
		expr, diags := hclsyntax.ParseExpression([]byte(raw), from, hcl.InitialPos)
		var parsed cty.Value
		if !diags.HasErrors() {
			parsed, diags = expr.Value(nil)
		}
		switch {
		case !diags.HasErrors():
			val = parsed
		case v.typ != cty.DynamicPseudoType: // without a type it is text
			l.errorf(at, "Wrong value for a variable", "The value given by %s does not parse: %s.", from, diags[0].Summary)
			return cty.DynamicVal, false
		}
	}
	converted, err := v.convert(val)
	if err != nil {
		l.errorf(at, "Wrong value for a variable", "The value given by %s does not fit the type of variable %q: %s.", from, v.name, err)
		return cty.DynamicVal, false
	}
	return converted, true
}

// validateVariables checks the validation blocks, once all values are known.
func (l *loader) validateVariables() {
	for _, name := range slices.Sorted(maps.Keys(l.variables)) {
		v := l.variables[name]
		for _, b := range v.block.Body.Blocks {
			if b.Type == "validation" {
				l.validate(v, b)
			}
		}
	}
}

func (l *loader) validate(v *variable, b *hclsyntax.Block) {
	condition, message := b.Body.Attributes["condition"], b.Body.Attributes["error_message"]
	if condition == nil || message == nil {
		l.errorf(b.DefRange(), "Missing argument", "A validation needs a condition and an error_message.")
		return
	}
	if !v.ok {
		return
	}
	val, ok := l.eval(condition.Expr, scope{})
	if !ok {
		return
	}
	val, _ = val.UnmarkDeep()
	val, err := convert.Convert(val, cty.Bool)
	switch {
	case err != nil || val.IsNull():
		l.errorf(condition.Expr.Range(), "Not a condition", "The condition must be true or false.")
	case val.False():
		l.errorf(v.block.DefRange(), "Invalid value for variable "+v.name, "%s", l.message(message.Expr))
	}
}

// message evaluates the text of an error_message.
func (l *loader) message(expr hcl.Expression) string {
	v, ok := l.eval(expr, scope{})
	if !ok || v.IsMarked() {
		return "Its validation failed."
	}
	text, err := convert.Convert(v, cty.String)
	if err != nil || text.IsNull() {
		return "Its validation failed."
	}
	return text.AsString()
}
