package release

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// located is err with the place in the values, for diagnostics that name a path
// in them. Others stay as they are.
func (c *composed) located(err error) error {
	list, ok := diag.From(err)
	if !ok || c == nil {
		return err
	}
	placed := make(diag.List, len(list))
	changed := false
	for i, d := range list {
		placed[i] = d
		if d.Subject == nil && len(d.Path) > 0 && d.Path[0].Name == "values" {
			c.place(&placed[i], d.Path[1:])
			bySchema(&placed[i])
			changed = true
		}
	}
	if !changed {
		return err
	}
	return &locatedError{placed.Err(), err}
}

// bySchema says which value it is, where a place in a file takes the path's
// place, and who says so.
func bySchema(d *diag.Diagnostic) {
	const schema = "values.schema.json"
	if d.Subject != nil {
		d.Summary = d.Path.String() + ": " + d.Summary
	}
	if !strings.Contains(d.Summary, schema) {
		d.Summary += " (" + schema + " of the chart)"
	}
}

// locatedError is an error whose diagnostics have places.
type locatedError struct{ diags, cause error }

func (e *locatedError) Error() string {
	if e.diags == nil {
		return e.cause.Error()
	}
	return e.diags.Error()
}

// Unwrap finds the diagnostics with places first.
func (e *locatedError) Unwrap() []error { return []error{e.diags, e.cause} }

// place tells where the value at path comes from: the strongest place that has
// all of it, or else as much of it as any has.
func (c *composed) place(d *diag.Diagnostic, path diag.Path) {
	best, depth := -1, 0
	for i := len(c.parts) - 1; i >= 0; i-- {
		if n := reach(c.parts[i].values, path); n > depth {
			best, depth = i, n
		}
	}
	if best < 0 {
		if d.Detail == "" {
			d.Detail = "The value is the chart's own."
		}
		return
	}
	c.parts[best].place(d, path[:depth])
}

// reach is how many steps of path lead to a value below v.
func reach(v any, path diag.Path) int {
	for n, step := range path {
		switch below := v.(type) {
		case map[string]any:
			name := step.Name
			if name == "" {
				name = fmt.Sprint(step.Index)
			}
			next, ok := below[name]
			if !ok {
				return n
			}
			v = next
		case []any:
			if step.Name != "" || step.Index < 0 || step.Index >= len(below) {
				return n
			}
			v = below[step.Index]
		default:
			return n
		}
	}
	return len(path)
}

// place tells where in a part a value stands.
func (p *part) place(d *diag.Diagnostic, path diag.Path) {
	if p.locate != nil {
		d.Subject = p.locate(path)
		return
	}
	at, ok := values.Place(p.text, path)
	switch {
	case ok && p.file != "":
		d.Subject = &diag.Range{File: p.file, Start: at, End: at}
		addDetail(d, fmt.Sprintf("Set by %s.", p.what))
	case ok:
		addDetail(d, fmt.Sprintf("Set by %s, line %d.", p.what, at.Line))
	default:
		addDetail(d, fmt.Sprintf("Set by %s.", p.what))
	}
}

func addDetail(d *diag.Diagnostic, text string) {
	if d.Detail != "" {
		d.Detail += " "
	}
	d.Detail += text
}
