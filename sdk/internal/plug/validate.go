package plug

import (
	"encoding/json"
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Validation is what `BINARY validate` reads from its standard input:
// configurations of one kind and type, to be checked without opening anything.
type Validation struct {
	Kind    string            `json:"kind"`
	Type    string            `json:"type"`
	Configs []json.RawMessage `json:"configs"` // as in OpenRequest.config_json
}

// Verdict is what `BINARY validate` prints: the problems of each
// configuration, in the order of Validation.Configs.
type Verdict struct {
	Problems [][]Problem `json:"problems"`
}

// Problem is the JSON form of a diagnostic.
type Problem struct {
	Severity string `json:"severity"` // "error" or "warning"
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	Path     []any  `json:"path,omitempty"` // names and indexes
}

// Diagnostics returns the problems as diagnostics.
func (v Verdict) Diagnostics() ([]diag.List, error) {
	all := make([]diag.List, len(v.Problems))
	for i, problems := range v.Problems {
		for _, p := range problems {
			d, err := p.diagnostic()
			if err != nil {
				return nil, err
			}
			all[i] = append(all[i], d)
		}
	}
	return all, nil
}

func (p Problem) diagnostic() (diag.Diagnostic, error) {
	d := diag.Diagnostic{Summary: p.Summary, Detail: p.Detail}
	switch p.Severity {
	case diag.Error.String():
	case diag.Warning.String():
		d.Severity = diag.Warning
	default:
		return d, fmt.Errorf("a problem has the severity %q", p.Severity)
	}
	for _, step := range p.Path {
		switch step := step.(type) {
		case string:
			d.Path = append(d.Path, diag.Step{Name: step})
		case float64:
			d.Path = append(d.Path, diag.Step{Index: int(step)})
		default:
			return d, fmt.Errorf("a problem's path has a step of type %T", step)
		}
	}
	return d, nil
}

// ProblemsOf returns diagnostics as problems.
func ProblemsOf(l diag.List) []Problem {
	problems := make([]Problem, len(l))
	for i, d := range l {
		problems[i] = Problem{Severity: d.Severity.String(), Summary: d.Summary, Detail: d.Detail}
		for _, step := range d.Path {
			var s any = step.Name
			if step.Name == "" {
				s = step.Index
			}
			problems[i].Path = append(problems[i].Path, s)
		}
	}
	return problems
}
