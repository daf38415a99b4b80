package render

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// workloads makes the edits of workloads: as many at once as are what is meant.
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
			a.settled(of[n : n+1])
			continue
		}
		left = append(left, of[n])
	}
	if len(left) == 0 {
		return nil
	}
	if slices.ContainsFunc(left, func(i int) bool { return len(a.places(i)) == 0 }) {
		if err := a.findHomes(ctx); err != nil {
			return err
		}
	}
	_, err = a.settle(ctx, a.groups(left), 0, nil)
	return err
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
// then gives what they and those made before mean. If not, it takes them back;
// they have errors then, and to blame are those that it seems to be due to, none
// if that cannot be told.
func (a *application) attempt(ctx context.Context, edits []int, nth int, made []int) (ok bool, blame []int, err error) {
	start := a.mark()
	for _, i := range edits {
		a.errs[i] = nil
	}
	err = a.make(ctx, edits, nth)
	for _, i := range edits {
		if a.errs[i] != nil {
			blame = append(blame, i)
		}
	}
	if err == nil && blame == nil {
		ok, blame, err = a.verify(ctx, edits, made)
	}
	if ok {
		return true, nil, nil
	}
	return false, blame, errors.Join(err, a.back(start))
}

// verify renders the working copy and compares it with what edits and those made
// before mean.
func (a *application) verify(ctx context.Context, edits, made []int) (ok bool, blame []int, err error) {
	want, _, err := meant(ctx, a.before, a.options, pick(a.edits, slices.Concat(made, edits)), a.dir("meant"))
	if err != nil {
		return false, nil, err
	}
	after, err := a.render(ctx, "after")
	if ctx.Err() != nil {
		return false, nil, context.Cause(ctx)
	}
	var have objects
	if err == nil {
		have, err = load(ctx, after)
	}
	if err == nil {
		diffs := differences(want, have)
		if len(diffs) == 0 {
			return true, nil, nil
		}
		err = unintended(a.where(), diffs)
		blame = a.about(edits, diffs)
	} else {
		err = fmt.Errorf("with the change in %s nothing can be rendered any more: %w", a.where(), err)
	}
	for _, i := range edits {
		a.errs[i] = err
	}
	return false, blame, nil
}

// about returns the edits of the workloads that differ.
func (a *application) about(edits []int, diffs []difference) []int {
	var of []int
	for _, i := range edits {
		w, ok := a.workload(a.edits[i])
		if ok && slices.ContainsFunc(diffs, func(d difference) bool { return d.isOf(w, a.options.Namespace) }) {
			of = append(of, i)
		}
	}
	return of
}

// settle makes groups of edits that belong together, each in its nth place or a
// later one, and returns made with those that are what they mean. As many as can
// be are tried together: what cannot be made costs the others few renderings.
func (a *application) settle(ctx context.Context, groups [][]int, nth int, made []int) ([]int, error) {
	switch len(groups) {
	case 0:
		return made, nil
	case 1:
		return a.settleGroup(ctx, groups[0], made)
	}
	all := slices.Concat(groups...)
	ok, blame, err := a.attempt(ctx, all, nth, made)
	if ok {
		a.settled(all)
		return append(made, all...), nil
	}
	if err == nil {
		err = a.findHomes(ctx)
	}
	if err != nil {
		return made, err
	}
	good, bad := divide(groups, blame)
	more := nth+1 < a.mostPlaces(all)
	switch {
	case len(good) > 0 && len(bad) > 0:
		if made, err = a.settle(ctx, good, nth, made); err != nil {
			return made, err
		}
		if more {
			return a.settle(ctx, bad, nth+1, made)
		}
	case more:
		return a.settle(ctx, groups, nth+1, made)
	case len(bad) == 0: // something cannot be rendered, and nobody knows what it is due to
		if made, err = a.settle(ctx, groups[:len(groups)/2], 0, made); err != nil {
			return made, err
		}
		return a.settle(ctx, groups[len(groups)/2:], 0, made)
	}
	for _, g := range bad {
		if made, err = a.settleGroup(ctx, g, made); err != nil {
			return made, err
		}
	}
	return made, nil
}

// divide parts groups into those without the edits to blame and those with them.
func divide(groups [][]int, blame []int) (good, bad [][]int) {
	for _, g := range groups {
		if slices.ContainsFunc(g, func(i int) bool { return slices.Contains(blame, i) }) {
			bad = append(bad, g)
		} else {
			good = append(good, g)
		}
	}
	return good, bad
}

// settleGroup makes the edits of one group, all or else each by itself.
func (a *application) settleGroup(ctx context.Context, group, made []int) ([]int, error) {
	ok, err := a.tryPlaces(ctx, group, made)
	switch {
	case err != nil:
		return made, err
	case ok:
		a.settled(group)
		return append(made, group...), nil
	case len(group) == 1:
		a.settled(group)
		return made, nil
	}
	for _, i := range group {
		if made, err = a.settleGroup(ctx, []int{i}, made); err != nil {
			return made, err
		}
	}
	return made, nil
}

// settled notes that what a.errs says of edits is final.
func (a *application) settled(edits []int) {
	for _, i := range edits {
		a.final[i] = true
	}
}

// tryPlaces makes edits in one place after the other, until what is rendered
// is what they mean. It leaves the draft and the error of the first place if
// none is right.
func (a *application) tryPlaces(ctx context.Context, edits, made []int) (bool, error) {
	first := make([]error, len(edits))
	for nth := 0; nth < a.mostPlaces(edits); nth++ {
		ok, _, err := a.attempt(ctx, edits, nth, made)
		if ok || err != nil {
			return ok, err
		}
		if nth > 0 {
			continue
		}
		copy(first, pick(a.errs, edits))
		if err := a.findHomes(ctx); err != nil { // there may be more places then
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
