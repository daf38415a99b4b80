package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Apply works out the changes of the files of the tree at root that make edits
// true of what r renders of paths. errs[i] belongs to edits[i]; an edit that
// fails leaves the others. An edit of a marker or of a kustomization's entry is
// made where the files say so; one of a workload by the renderer, if it is a
// renderer.Updater, or else in the kustomization or file that says it, and is
// then rendered and compared. Of the latter, files that do not stand below
// paths stay as they are, since others may render them too: an image that only
// they say gets an entry in the kustomization of its path. root is not written
// to; work is a directory for this call, which it removes. When ctx ends, the
// edits that are not done by then have its cause for an error; the changes are
// those of the others.
//
// A FileChange whose Edits are nil may be due to any of them.
func Apply(ctx context.Context, r renderer.Renderer, root string, paths []string, o edit.Options, work string, edits []edit.Edit) (changes []edit.FileChange, errs []error) {
	a := &application{renderer: r, paths: paths, options: o, work: work, edits: edits, errs: make([]error, len(edits)), final: make([]bool, len(edits)), own: map[string]bool{}}
	a.updater, _ = r.(renderer.Updater)
	if len(a.paths) == 0 {
		a.paths = []string{"."}
	}
	a.options.Namespace = cmp.Or(o.Namespace, "default")
	err := a.run(ctx, root)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		a.cutOff(err)
	}
	if err := os.RemoveAll(work); err != nil {
		for i := range a.errs {
			a.errs[i] = cmp.Or(a.errs[i], err)
		}
		return nil, a.errs
	}
	return a.changes(), a.errs
}

// cutOff gives the edits that are not done an error. The working copy holds the
// others.
func (a *application) cutOff(err error) {
	for i, done := range a.final {
		if !done {
			a.errs[i] = err
		}
	}
}

// application is one Apply.
type application struct {
	renderer renderer.Renderer
	updater  renderer.Updater // nil if it is none
	paths    []string
	options  edit.Options
	work     string
	edits    []edit.Edit
	errs     []error

	*draft                     // the working copy
	before   Rendered          // with the edits that are not of workloads
	declared []edit.Workload   // of before, in their places of origin
	rendered []edit.Workload   // the same in their places in before
	sources  edit.Found        // of the files that were read
	homes    map[string]string // paths that render workloads, by their IDs; nil until they are asked for
	own      map[string]bool   // files, by whether they stand below the paths
	final    []bool            // by edit: errs is what has become of it
}

func (a *application) dir(name string) string { return filepath.Join(a.work, name) }

func (a *application) run(ctx context.Context, root string) error {
	if err := errors.Join(os.RemoveAll(a.work), os.MkdirAll(a.work, 0o700), copyTree(ctx, root, a.dir("tree"))); err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	var err error
	if a.draft, err = newDraft(a.dir("tree")); err != nil {
		return err
	}
	defer func() { _ = a.close() }() // a directory that was only looked at
	if a.before, err = a.render(ctx, "before"); err != nil {
		return err
	}
	if err := a.direct(ctx); err != nil {
		return err
	}
	if err := a.survey(ctx); err != nil {
		return err
	}
	return a.workloads(ctx)
}

// render renders the working copy.
func (a *application) render(ctx context.Context, name string) (Rendered, error) {
	return Run(ctx, a.renderer, a.dir("tree"), a.paths, a.options.Namespace, a.dir(name))
}

// direct makes the edits that are not of workloads. What they are about is in
// the files alone, so that all there is to check is that it still renders.
func (a *application) direct(ctx context.Context) error {
	var of []int
	for i, e := range a.edits {
		if e.Workload == "" {
			of = append(of, i)
		}
	}
	if len(of) == 0 {
		return nil
	}
	t, err := edit.Open(ctx, a.dir("tree"), edit.TreeOptions{Options: a.options, Paths: a.readPaths()})
	if err != nil {
		return err
	}
	changes, errs := t.Apply(ctx, pick(a.edits, of))
	for n, err := range errs {
		a.errs[of[n]] = err
	}
	for _, c := range changes {
		if err := a.write(c.Path, c.New, pick(of, c.Edits)); err != nil {
			return errors.Join(err, a.back(step{}))
		}
	}
	if len(changes) == 0 {
		a.settled(of)
		return nil
	}
	after, err := a.render(ctx, "before")
	if err == nil {
		a.before = after
		a.settled(of)
		return nil
	}
	if ctx.Err() != nil {
		return errors.Join(err, a.back(step{}))
	}
	for _, i := range of {
		a.errs[i] = cmp.Or(a.errs[i], fmt.Errorf("with this change nothing can be rendered any more: %w", err))
	}
	a.settled(of)
	if err := a.back(step{}); err != nil {
		return err
	}
	a.before, err = a.render(ctx, "before")
	return err
}

// survey finds out what is declared, and where.
func (a *application) survey(ctx context.Context) error {
	t, err := edit.Open(ctx, a.before.Dir, edit.TreeOptions{Options: a.options})
	if err != nil {
		return err
	}
	a.rendered = t.Found().Workloads
	a.declared = a.before.at(t.Found()).Workloads
	sources, err := edit.Open(ctx, a.dir("tree"), edit.TreeOptions{Options: a.options, Paths: a.readPaths()})
	if err != nil {
		return err
	}
	a.sources = sources.Found()
	return a.readNameless()
}

// readNameless adds to the sources kustomizations whose file has no extension.
func (a *application) readNameless() error {
	entries := slices.Clone(a.sources.Kustomize)
	for _, file := range a.before.Files {
		if path.Base(file) != "Kustomization" {
			continue
		}
		data, err := a.read(file)
		if err != nil {
			return err
		}
		for _, k := range edit.Scan(data, a.options).Kustomize {
			k.File = file
			entries = append(entries, k)
		}
	}
	a.sources.Kustomize = entries
	return nil
}

// readPaths are the files that rendering has read, as far as it is known, or
// the paths themselves.
func (a *application) readPaths() []string {
	if a.before.Files == nil {
		return a.paths
	}
	var files []string
	for _, file := range a.before.Files {
		info, err := a.root.Stat(filepath.FromSlash(file))
		if err == nil && info.Mode().IsRegular() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
			files = append(files, file)
		}
	}
	return files
}

// changes are those of the working copy against the tree.
func (a *application) changes() (list []edit.FileChange) {
	if a.draft == nil {
		return nil
	}
	for _, file := range slices.Sorted(maps.Keys(a.changed)) {
		c := a.changed[file]
		if string(c.old) != string(c.new) || (c.old == nil) != (c.new == nil) {
			slices.Sort(c.edits)
			list = append(list, edit.FileChange{Path: file, Old: c.old, New: c.new, Edits: slices.Compact(c.edits)})
		}
	}
	return list
}

// pick returns the elements at indexes.
func pick[E any](list []E, indexes []int) []E {
	picked := make([]E, 0, len(indexes))
	for _, i := range indexes {
		picked = append(picked, list[i])
	}
	return picked
}
