package render

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// workloads makes the edits of workloads: all of them at once, and if that is
// not what is meant, one after the other.
func (a *application) workloads(ctx context.Context) error {
	var of []int
	for i, e := range a.edits {
		if e.Workload != "" {
			of = append(of, i)
		}
	}
	// Those that cannot even be made in what was rendered go first.
	_, errs, err := meant(ctx, a.before, a.options, pick(a.edits, of), a.dir("meant"))
	if err != nil {
		return err
	}
	var left []int
	for n, err := range errs {
		if err != nil {
			a.errs[of[n]] = a.explained(err)
			continue
		}
		left = append(left, of[n])
	}
	if len(left) == 0 {
		return nil
	}
	if a.updater == nil && slices.ContainsFunc(left, func(i int) bool { return len(a.places(i)) == 0 }) {
		if err := a.findHomes(ctx); err != nil {
			return err
		}
	}
	start := a.mark()
	if ok, err := a.attempt(ctx, left, 0, left); ok || err != nil {
		return err
	}
	if err := a.back(start); err != nil {
		return err
	}
	if a.updater == nil {
		if err := a.findHomes(ctx); err != nil {
			return err
		}
	}
	return a.oneByOne(ctx, left)
}

// explained names files by their origins in an error about rendered ones.
func (a *application) explained(err error) error {
	return &originError{err, a.before.text(err.Error())}
}

// originError is an error with other words.
type originError struct {
	err  error
	text string
}

func (e *originError) Error() string { return e.text }
func (e *originError) Unwrap() error { return e.err }

// attempt makes edits, each in its nth place, and reports whether rendering
// then gives what all of made mean. It sets the errors of edits that it could
// not make.
func (a *application) attempt(ctx context.Context, edits []int, nth int, made []int) (bool, error) {
	for _, i := range edits {
		a.errs[i] = nil
	}
	if err := a.make(ctx, edits, nth); err != nil {
		return false, err
	}
	if slices.ContainsFunc(edits, func(i int) bool { return a.errs[i] != nil }) {
		return false, nil
	}
	return a.verify(ctx, edits, made)
}

// verify renders the working copy and compares it with what the edits made so
// far mean.
func (a *application) verify(ctx context.Context, edits, made []int) (bool, error) {
	want, _, err := meant(ctx, a.before, a.options, pick(a.edits, made), a.dir("meant"))
	if err != nil {
		return false, err
	}
	after, err := a.render(ctx, "after")
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	var have objects
	if err == nil {
		have, err = load(ctx, after)
	}
	if err == nil {
		diffs := differences(want, have)
		if len(diffs) == 0 {
			return true, nil
		}
		err = unintended(a.where(), diffs)
	} else {
		err = fmt.Errorf("with the change in %s nothing can be rendered any more: %w", a.where(), err)
	}
	for _, i := range edits {
		a.errs[i] = err
	}
	return false, nil
}

// oneByOne makes edits that together are not what is meant. Those that are
// made in the same place are one: an image that several workloads run may stand
// in one place for all.
func (a *application) oneByOne(ctx context.Context, edits []int) error {
	var made []int
	for _, group := range a.groups(edits) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := a.tryPlaces(ctx, group, made)
		if err != nil {
			return err
		}
		if !ok && len(group) > 1 {
			if made, err = a.split(ctx, group, made); err != nil {
				return err
			}
			continue
		}
		if ok {
			made = append(made, group...)
		}
	}
	return nil
}

// split tries the edits of a group by themselves.
func (a *application) split(ctx context.Context, group, made []int) ([]int, error) {
	for _, i := range group {
		ok, err := a.tryPlaces(ctx, []int{i}, made)
		if err != nil {
			return nil, err
		}
		if ok {
			made = append(made, i)
		}
	}
	return made, nil
}

// tryPlaces makes edits in one place after the other, until what is rendered
// is what they mean. It leaves the draft and the error of the first place if
// none is right.
func (a *application) tryPlaces(ctx context.Context, edits, made []int) (bool, error) {
	start := a.mark()
	first := make([]error, len(edits))
	all := append(slices.Clone(made), edits...)
	for nth := range a.mostPlaces(edits) {
		ok, err := a.attempt(ctx, edits, nth, all)
		if ok || err != nil {
			return ok, err
		}
		for n, i := range edits {
			if nth == 0 {
				first[n] = a.errs[i]
			}
		}
		if err := a.back(start); err != nil {
			return false, err
		}
	}
	for n, i := range edits {
		a.errs[i] = first[n]
		if a.errs[i] == nil {
			a.errs[i] = errors.New("it is one change with another one, which cannot be made")
		}
	}
	return false, nil
}

// mostPlaces is how many places there are to try.
func (a *application) mostPlaces(edits []int) int {
	most := 1
	for _, i := range edits {
		most = max(most, len(a.places(i)))
	}
	return most
}

// make makes edits in the working copy, each in its nth place, or by the
// plugin. Errors of edits are in a.errs.
func (a *application) make(ctx context.Context, edits []int, nth int) error {
	var forPlugin []int
	for _, i := range edits {
		places := a.places(i)
		switch {
		case len(places) > 0:
			if err := a.makeIn(ctx, i, places[min(nth, len(places)-1)]); err != nil {
				return err
			}
		case a.updater != nil:
			forPlugin = append(forPlugin, i)
		default:
			a.errs[i] = a.nowhere(i)
		}
	}
	if len(forPlugin) > 0 {
		return a.update(ctx, forPlugin)
	}
	return nil
}

// makeIn makes the edit in one file.
func (a *application) makeIn(ctx context.Context, i int, p place) error {
	if p.edit.Kustomize != "" {
		return a.makeEntry(i, p)
	}
	t, err := edit.Open(ctx, a.dir("tree"), edit.TreeOptions{Options: a.options, Paths: []string{p.file}})
	if err != nil {
		return err
	}
	changes, errs := t.Apply(ctx, []edit.Edit{p.edit})
	if errs[0] != nil {
		a.errs[i] = errs[0]
		return nil
	}
	for _, c := range changes {
		if err := a.write(c.Path, c.New, []int{i}); err != nil {
			return err
		}
	}
	return nil
}
