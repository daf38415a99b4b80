package engine

import (
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// locate gives each diagnostic of a plugin its place in the user's file.
func locate(cfg config.PluginConfig, l diag.List) diag.List {
	placed := make(diag.List, len(l))
	for i, d := range l {
		if d.Subject == nil {
			r := cfg.Locate(d.Path)
			d.Subject = &r
		}
		placed[i] = d
	}
	return placed
}

func onlyWarnings(l diag.List) diag.List {
	return slices.DeleteFunc(l, func(d diag.Diagnostic) bool { return d.Severity != diag.Warning })
}

// placedError is an error with the diagnostics of a plugin by their places.
type placedError struct {
	text     string
	cause    error
	problems diag.List
}

func (p *placedError) Error() string { return p.text }
func (p *placedError) Unwrap() error { return p.cause }

// located adds the places to the diagnostics that err carries. It says where
// they are and what, and wraps err.
func located(cfg config.PluginConfig, err error) error {
	l, ok := diag.From(err)
	if !ok {
		return err
	}
	p := &placedError{text: err.Error(), cause: err, problems: locate(cfg, l)}
	if placed := p.problems.Err(); placed != nil {
		p.text = placed.Error()
	}
	return p
}

// joined is errors.Join on one line, with the problems of all.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	p := &placedError{cause: errors.Join(errs...)}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
		if placed, ok := errors.AsType[*placedError](err); ok {
			p.problems = append(p.problems, placed.problems...)
		}
	}
	p.text = strings.Join(texts, "; ")
	return p
}

// problemsOf returns the diagnostics with a place that err carries.
func problemsOf(err error) []rollout.Problem {
	if p, ok := errors.AsType[*placedError](err); ok {
		return rollout.Problems(p.problems)
	}
	return nil
}
