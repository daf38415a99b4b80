// Package render turns trees that hold no plain manifests into directories that
// do, by renderer plugins, and edits of what was rendered into changes of the
// files that it was rendered from.
//
// Run renders; whatever goes wrong fails it, so that nothing is taken for gone
// that was only not rendered. A Store keeps what was rendered, so that the same
// tree is not rendered twice. Apply changes images and annotations: by the
// plugin, if it can, or else in the kustomization or file that says them. It
// believes neither: each change is rendered, compared with what is meant, and
// left out if anything else differs.
package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Rendered is a directory of manifests and where they come from. It is shared:
// do not change it.
type Rendered struct {
	Dir      string
	Origins  map[string]renderer.Origin // by file of Dir
	Files    []string                   // of the tree, that were read; nil if that is not known
	Problems diag.List                  // warnings of the renderer
}

// Run renders paths of the tree at root into out, which it makes, empties
// before and leaves empty after an error. No paths mean the root. namespace is
// that of objects that name none.
func Run(ctx context.Context, r renderer.Renderer, root string, paths []string, namespace, out string) (Rendered, error) {
	if err := errors.Join(os.RemoveAll(out), os.MkdirAll(out, 0o700)); err != nil {
		return Rendered{}, fmt.Errorf("render: %w", err)
	}
	if len(paths) == 0 {
		paths = []string{"."}
	}
	res, err := r.Render(ctx, renderer.Request{Dir: root, Paths: paths, Out: out, Namespace: namespace})
	if err == nil {
		err = check(res)
	}
	if err != nil {
		return Rendered{}, errors.Join(named(err), os.RemoveAll(out), os.MkdirAll(out, 0o700))
	}
	return Rendered{Dir: out, Origins: res.Origins, Files: res.Files, Problems: res.Diagnostics}, nil
}

// named says in err that it is about rendering, unless it is about a file.
func named(err error) error {
	if l, ok := diag.From(err); ok && l.HasErrors() {
		return err
	}
	return fmt.Errorf("render: %w", err)
}

// check refuses what a renderer says of files that are not in the tree.
func check(res renderer.Result) error {
	files := slices.Clone(res.Files)
	for _, o := range res.Origins {
		files = append(files, o.File)
	}
	for _, d := range res.Diagnostics {
		if d.Subject != nil {
			files = append(files, d.Subject.File)
		}
	}
	for _, file := range files {
		if !filepath.IsLocal(filepath.FromSlash(file)) {
			return fmt.Errorf("the renderer names %q, which is not in the tree", file)
		}
	}
	return nil
}

// Origin returns where a line of a rendered file comes from, as
// manifest.Options.Origin wants it.
func (r Rendered) Origin(file string, line int) (string, int) {
	o, ok := r.Origins[file]
	switch {
	case !ok:
		return file, line
	case o.Line == 0: // a copy
		return o.File, line
	}
	return o.File, o.Line
}

// Declared tells what images the manifests hold, each in its place of origin.
// o.Paths and o.Tree are not used.
func (r Rendered) Declared(ctx context.Context, o edit.TreeOptions) (edit.Found, error) {
	o.Paths, o.Tree = nil, ""
	t, err := edit.Open(ctx, r.Dir, o)
	if err != nil {
		return edit.Found{}, err
	}
	return r.at(t.Found()), nil
}

// at returns f with the places of origin.
func (r Rendered) at(f edit.Found) edit.Found {
	f.Workloads, f.Problems = slices.Clone(f.Workloads), slices.Clone(f.Problems)
	f.Markers, f.Kustomize = nil, nil // comments are not rendered, and kustomizations are done with
	for i := range f.Workloads {
		w := &f.Workloads[i]
		o, known := r.Origins[w.File]
		w.File, w.Line = r.Origin(w.File, w.Line)
		w.Containers = slices.Clone(w.Containers)
		for n := range w.Containers {
			if known && o.Line > 0 { // it was made of what is there
				w.Containers[n].Line = w.Line
			}
		}
	}
	for i, d := range f.Problems {
		if d.Subject == nil {
			continue
		}
		at := *d.Subject
		at.File, at.Start.Line = r.Origin(at.File, at.Start.Line)
		at.End = at.Start
		f.Problems[i].Subject = &at
	}
	return f
}

// text names rendered files in s by their origins.
func (r Rendered) text(s string) string {
	for _, file := range slices.Sorted(maps.Keys(r.Origins)) {
		if strings.Contains(s, file) {
			s = strings.ReplaceAll(s, file, r.Origins[file].File)
		}
	}
	return s
}
