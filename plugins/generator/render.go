package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/generator/internal/fluxfile"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Render implements renderer.Renderer. Which files the commands read is not
// known.
func (g *generator) Render(ctx context.Context, req renderer.Request) (res renderer.Result, err error) {
	all, _, err := units(req.Dir, req.Paths)
	if err != nil {
		return renderer.Result{}, err
	}
	out := &output{dir: req.Out, res: renderer.Result{Origins: map[string]renderer.Origin{}}}
	var w *workspace // made once it is needed
	defer func() {
		if w != nil {
			err = errors.Join(err, w.close())
		}
	}()
	for _, u := range all {
		if !u.plain() && w == nil {
			if w, err = newWorkspace(ctx, req.Dir); err != nil {
				return renderer.Result{}, err
			}
		}
		if err := g.render(ctx, req.Dir, w, u, out); err != nil {
			return renderer.Result{}, err
		}
	}
	return out.res, nil
}

func (g *generator) render(ctx context.Context, tree string, w *workspace, u unit, out *output) error {
	switch {
	case u.plain():
		return out.copyPlain(ctx, tree, u.dir)
	case u.file.PatchFile != "":
		return g.renderPatched(ctx, w, u, out)
	}
	outputs, err := g.outputs(ctx, w, u)
	if err != nil {
		return err
	}
	for i, data := range outputs {
		at := renderer.Origin{File: u.file.Path, Line: u.file.Generators[i].Line}
		for doc := range documents(data) {
			if err := out.write(".yaml", doc, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// documents splits what a generator has printed, so that no file is larger than
// a host reads because there are many objects in it.
func documents(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start, at := 0, 0
		for line := range bytes.Lines(data) {
			if marker, ok := bytes.CutPrefix(line, []byte("---")); ok && len(bytes.TrimSpace(marker)) == 0 {
				if !hollow(data[start:at]) && !yield(data[start:at]) {
					return
				}
				start = at + len(line)
			}
			at += len(line)
		}
		if !hollow(data[start:]) {
			yield(data[start:])
		}
	}
}

func (g *generator) renderPatched(ctx context.Context, w *workspace, u unit, out *output) error {
	p, err := g.patched(ctx, w, u)
	if err != nil {
		return err
	}
	for _, ref := range p.unused {
		out.res.Diagnostics = append(out.res.Diagnostics, diag.Diagnostic{
			Severity: diag.Warning, Summary: "the patch of " + ref.String() + " has no effect: it is not generated",
			Detail: "Remove it if the object is gone for good.", Subject: &diag.Range{File: u.patchFile()},
		})
	}
	for _, o := range p.after {
		at := renderer.Origin{File: u.file.Path, Line: u.file.Generators[0].Line}
		if err := out.write(".json", o.JSON, at); err != nil {
			return err
		}
	}
	return nil
}

// output is the directory that manifests are written to.
type output struct {
	dir     string
	written int
	res     renderer.Result
}

func (o *output) write(ext string, data []byte, at renderer.Origin) error {
	o.written++
	name := fmt.Sprintf("%06d%s", o.written, ext)
	o.res.Origins[name] = at
	return os.WriteFile(filepath.Join(o.dir, name), data, 0o600)
}

// copyPlain copies the manifests below dir, with what tells which of them to
// leave out, to the same paths below a directory of its own.
func (o *output) copyPlain(ctx context.Context, tree, dir string) error {
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // only read from
	o.written++
	below := fmt.Sprintf("%06d", o.written)
	for at := dir; at != "."; { // those above dir are for it, too
		at = path.Dir(at)
		if err := o.copy(root, path.Join(at, ignoreFile), below); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fs.WalkDir(root.FS(), dir, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.IsDir() && file != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() && isChart(root, file):
			return fs.SkipDir
		case d.IsDir() || !isManifest(d.Name()) && d.Name() != ignoreFile:
			return nil
		}
		return o.copy(root, file, below)
	})
}

// ignoreFile names manifests to leave out; the host reads it.
const ignoreFile = ".sluiceignore"

func isManifest(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) && !strings.HasPrefix(name, ".") && name != fluxfile.Name
}

// isChart tells whether dir is a Helm chart, which is no manifest.
func isChart(root *os.Root, dir string) bool {
	there := func(name string) bool {
		_, err := root.Stat(filepath.FromSlash(path.Join(dir, name)))
		return err == nil
	}
	return there("Chart.yaml") && (there("values.yaml") || there("templates"))
}

// copy copies one file, whose lines are those of its origin.
func (o *output) copy(root *os.Root, file, below string) error {
	data, err := root.ReadFile(filepath.FromSlash(file))
	if err != nil {
		return err
	}
	name := path.Join(below, file)
	target := filepath.Join(o.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if file != path.Join(path.Dir(file), ignoreFile) {
		o.res.Origins[name] = renderer.Origin{File: file}
	}
	return os.WriteFile(target, data, 0o600)
}
