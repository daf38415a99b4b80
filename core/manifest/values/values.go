// Package values reads the values of Helm releases: one YAML or JSON mapping,
// with the scalars that helm and kubectl read (YAML 1.1), bounded in size,
// nesting and the expansion of aliases.
//
// Values may be secret: errors tell the place and what is wrong with it, and
// never what stands there.
package values

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Error is what is wrong with a text of values. It does not quote them.
type Error struct {
	Line, Column int // from 1; Column is 0 where only the line is known
	text         string
}

func (e *Error) Error() string { return e.text }

// Parse reads values: plain maps, lists, strings, int64, float64, bool and nil.
// A text that holds nothing is an empty map. Errors are of the type *Error.
func Parse(data []byte) (map[string]any, error) {
	root, err := parse(data)
	if err != nil || root == nil {
		return map[string]any{}, err
	}
	v, problems := document.Convert(root)
	if len(problems) > 0 {
		n := problems[0].Node
		return nil, &Error{n.Line, n.Column, words(problems[0])}
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, &Error{root.Line, root.Column, "values are a mapping of names to values"}
}

// words tells a problem without the value that it is about.
func words(p *document.NodeError) string {
	if p.Node.Kind == yaml.ScalarNode && p.Node.Style&yaml.TaggedStyle != 0 {
		return "the value is not what its tag says"
	}
	return p.Err.Error()
}

// parse returns the root of the only document, nil if there is none.
func parse(data []byte) (*yaml.Node, error) {
	text, line, err := document.Text(data)
	if err != nil {
		return nil, &Error{line, 0, "the text is neither UTF-8 nor UTF-16"}
	}
	parsed, err := document.Parse(text)
	if bad, ok := errors.AsType[*document.Error](err); ok {
		return nil, &Error{bad.Line, 0, bad.Error()}
	}
	switch {
	case err != nil:
		return nil, &Error{Line: 1, text: "cannot be read"}
	case len(parsed.Roots) == 0:
		return nil, nil
	case len(parsed.Roots) > 1:
		n := parsed.Roots[1]
		return nil, &Error{n.Line, n.Column, fmt.Sprintf("%d documents, where values are one", len(parsed.Roots))}
	}
	return parsed.Roots[0], nil
}

// Place finds where a value stands in a text that Parse has read. ok is false
// if the text does not have all of path.
func Place(data []byte, path diag.Path) (at diag.Pos, ok bool) {
	n, err := parse(data)
	if err != nil || n == nil || len(path) == 0 {
		return diag.Pos{}, false
	}
	var key *yaml.Node
	for _, step := range path {
		if key, n = document.Child(n, step); n == nil {
			return diag.Pos{}, false
		}
	}
	return diag.Pos{Line: key.Line, Column: key.Column}, true
}
