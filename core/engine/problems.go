package engine

import (
	"slices"

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

// located adds the places to the diagnostics that err carries. It says and
// wraps what err did otherwise.
func located(cfg config.PluginConfig, err error) error {
	l, ok := diag.From(err)
	if !ok {
		return err
	}
	return &placedError{err: err, problems: locate(cfg, l)}
}

// placedError is an error of a plugin with its diagnostics by their places.
type placedError struct {
	err      error
	problems diag.List
}

func (p *placedError) Error() string {
	if err := p.problems.Err(); err != nil {
		return err.Error()
	}
	return p.err.Error()
}

// Unwrap lets diag.From find the problems by their places before those without.
func (p *placedError) Unwrap() []error { return []error{p.problems.Err(), p.err} }

// problemsOf returns the diagnostics with a place that err carries, of every
// error that was joined to it.
func problemsOf(err error) []rollout.Problem {
	switch x := err.(type) {
	case nil:
		return nil
	case *placedError:
		return rollout.Problems(x.problems)
	case interface{ Unwrap() error }:
		return problemsOf(x.Unwrap())
	case interface{ Unwrap() []error }:
		var all []rollout.Problem
		for _, e := range x.Unwrap() {
			all = append(all, problemsOf(e)...)
		}
		return all
	}
	return nil
}
