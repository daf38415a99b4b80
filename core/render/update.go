package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// update lets the plugin make edits in the working copy.
func (a *application) update(ctx context.Context, edits []int) error {
	var changes []renderer.Change
	var of []int // edits, by change
	for _, i := range edits {
		w, ok := a.workload(a.edits[i])
		if !ok {
			a.errs[i] = edit.ErrNotFound
			continue
		}
		list := changesOf(w, a.edits[i])
		changes = append(changes, list...)
		for range list {
			of = append(of, i)
		}
	}
	if len(changes) == 0 {
		return nil
	}
	private, out := a.dir("private"), a.dir("update")
	err := errors.Join(os.RemoveAll(private), os.RemoveAll(out), os.MkdirAll(out, 0o700), copyTree(ctx, a.dir("tree"), private))
	if err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	res, err := a.updater.Update(ctx, renderer.UpdateRequest{
		Request: renderer.Request{Dir: private, Paths: a.paths, Out: out, Namespace: a.options.Namespace}, Changes: changes,
	})
	if err == nil && len(res.Errors) != len(changes) {
		err = fmt.Errorf("the renderer answered %d of %d changes", len(res.Errors), len(changes))
	}
	if err != nil {
		for _, i := range edits {
			a.errs[i] = err
		}
		return nil
	}
	for n, text := range res.Errors {
		if text != "" && a.errs[of[n]] == nil {
			a.errs[of[n]] = errors.New(text)
		}
	}
	return a.takeOver(res, edits)
}

// takeOver makes the plugin's edits of files in the working copy.
func (a *application) takeOver(res renderer.UpdateResult, edits []int) error {
	var due []int // nil: which of several is not known
	if len(edits) == 1 {
		due = edits
	}
	for _, e := range res.Edits {
		if !filepath.IsLocal(filepath.FromSlash(e.Path)) {
			return fmt.Errorf("the renderer changes %q, which is not in the tree", e.Path)
		}
		if err := a.write(e.Path, e.New, due); err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
	}
	return nil
}

// workload returns the reference of the rendered object that an edit is about.
func (a *application) workload(e edit.Edit) (applier.Ref, bool) {
	for _, w := range a.declared {
		if sameWorkload(w.ID, e.Workload, a.options.Namespace) {
			return w.Ref, true
		}
	}
	return applier.Ref{}, false
}

func changesOf(w applier.Ref, e edit.Edit) (list []renderer.Change) {
	if e.Image != "" {
		list = append(list, renderer.Change{Workload: w, Container: e.Container, Image: e.Image})
	}
	for _, key := range slices.Sorted(maps.Keys(e.Set)) {
		value := e.Set[key]
		list = append(list, renderer.Change{Workload: w, Annotation: key, Value: &value})
	}
	for _, key := range e.Remove {
		list = append(list, renderer.Change{Workload: w, Annotation: key})
	}
	return list
}
