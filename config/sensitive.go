package config

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// keep remembers every string in v as a secret.
func (l *loader) keep(v cty.Value) {
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, leaf cty.Value) (bool, error) { // the callback does not fail
		l.keepLeaf(leaf)
		return true, nil
	})
}

func (l *loader) keepLeaf(v cty.Value) {
	if !v.Type().IsPrimitiveType() || v.Type().Equals(cty.Bool) || v.IsNull() || !v.IsKnown() {
		return
	}
	if text, err := convert.Convert(v, cty.String); err == nil {
		l.secret(text.AsString())
	}
}

// maskLiterals notes the literals in expr, which is the value of something
// sensitive, so that no diagnostic shows them in its source line.
func (l *loader) maskLiterals(expr hcl.Expression) {
	node, ok := unwrap(expr).(hclsyntax.Node)
	if !ok {
		return
	}
	var found, harmless []hcl.Range
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics { // the callback finds no problems
		switch n := n.(type) {
		case *hclsyntax.LiteralValueExpr:
			found = append(found, n.SrcRange)
		case *hclsyntax.FunctionCallExpr:
			if n.Name == "env" || n.Name == "file" {
				harmless = append(harmless, n.Range())
			}
		}
		return nil
	})
	for _, r := range found {
		if !insideAny(r, harmless) {
			l.masked = append(l.masked, r)
		}
	}
}

func insideAny(r hcl.Range, all []hcl.Range) bool {
	for _, outer := range all {
		if r.Start.Byte >= outer.Start.Byte && r.End.Byte <= outer.End.Byte {
			return true
		}
	}
	return false
}

// urlPassword finds the literal password in a URL, also where none belongs.
var urlPassword = regexp.MustCompile(`://[^\s"/@:]*:([^\s"/@${}]+)@`)

// maskSecrets overwrites the literal secrets in the text kept for snippets.
func (l *loader) maskSecrets(inputs []input) {
	for _, in := range inputs {
		_ = hclsyntax.VisitAll(in.body, func(n hclsyntax.Node) hcl.Diagnostics { // the callback finds no problems
			if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && call.Name == "secret" {
				for _, arg := range call.Args {
					l.maskLiterals(arg)
				}
			}
			return nil
		})
	}
	for name, src := range l.cfg.Files {
		for _, at := range urlPassword.FindAllSubmatchIndex(src, -1) {
			l.masked = append(l.masked, hcl.Range{Filename: name, Start: hcl.Pos{Byte: at[2]}, End: hcl.Pos{Byte: at[3]}})
		}
	}
	copied := map[string]bool{}
	for _, r := range l.masked {
		src := l.cfg.Files[r.Filename]
		if r.Start.Byte < 0 || r.End.Byte > len(src) {
			continue // not from a file
		}
		if !copied[r.Filename] {
			src = bytes.Clone(src)
			l.cfg.Files[r.Filename], copied[r.Filename] = src, true
		}
		for i := r.Start.Byte; i < r.End.Byte; i++ {
			if src[i] != '\n' && src[i] != '\r' {
				src[i] = '*'
			}
		}
	}
}
