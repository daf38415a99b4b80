package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/plugins/generator/internal/command"
	"github.com/sluice-gitops/sluice/plugins/generator/internal/fluxfile"
	"github.com/sluice-gitops/sluice/plugins/generator/internal/patch"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// generator runs what .flux.yaml files say.
type generator struct {
	c       Config
	log     hclog.Logger
	patcher *patch.Patcher
}

func open(_ context.Context, c Config, env sdk.Env) (*generator, error) {
	p, err := patch.New()
	if err != nil {
		return nil, err
	}
	return &generator{c: c, log: env.Log, patcher: p}, nil
}

// unit is one path that is rendered, with the .flux.yaml that is for it.
type unit struct {
	dir  string         // relative to the tree
	file *fluxfile.File // nil or Scan: the manifests are plain files
}

func (u unit) plain() bool { return u.file == nil || u.file.Scan }

// units finds the .flux.yaml of each path in the tree at root, and returns
// which files it has looked for.
func units(root string, paths []string) (list []unit, looked []string, err error) {
	for _, p := range paths {
		if !filepath.IsLocal(filepath.FromSlash(p)) {
			return nil, nil, problem(p, 0, p+" leads out of the tree", "Paths are relative to the root of the source.")
		}
		at := path.Clean(p)
		if !exists(root, at) {
			return nil, nil, problem(p, 0, "there is no such path: "+p, "The sync names it in paths; this revision of the source does not hold it.")
		}
		file, dir, files, err := fluxfile.Find(root, at)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", p, err)
		}
		list, looked = append(list, unit{dir, file}), append(looked, files...)
	}
	return list, looked, nil
}

// exists tells whether there is something at rel, without leaving the tree.
func exists(root, rel string) bool {
	r, err := os.OpenRoot(root)
	if err != nil {
		return false
	}
	defer func() { _ = r.Close() }() // only read from
	_, err = r.Stat(filepath.FromSlash(rel))
	return err == nil
}

// outputs runs the generators of u, one after the other, and returns what each
// has printed.
func (g *generator) outputs(ctx context.Context, w *workspace, u unit) ([][]byte, error) {
	var all [][]byte
	for i, c := range u.file.Generators {
		out, err := g.run(ctx, w, u, c, nil)
		what := fmt.Sprintf("generator %d, %s,", i+1, c)
		if err != nil {
			return nil, g.failed(ctx, u, c, what+" failed in "+u.dir, err)
		}
		if !g.c.AllowEmpty && hollow(out) {
			return nil, problem(u.file.Path, c.Line, what+" has printed nothing in "+u.dir,
				"As a rule something has failed in front of a pipe, whose status is that of its last command. "+
					"If there may be nothing, set allow_empty in the renderer's block.")
		}
		all = append(all, out)
	}
	return all, nil
}

// run runs one command for u, with more variables.
func (g *generator) run(ctx context.Context, w *workspace, u unit, c fluxfile.Command, more []string) ([]byte, error) {
	env, hide := g.environment(w)
	return command.Run(ctx, command.Spec{
		Args: append(slices.Clone(g.c.Shell), c.Text), Dir: filepath.Join(w.tree(), filepath.FromSlash(u.dir)),
		Env: append(env, more...), Hide: hide, Timeout: cmp.Or(c.Timeout, g.c.Timeout), Max: g.c.MaxOutput,
	})
}

// environment is that of every command, and the values that no error may
// repeat.
func (g *generator) environment(w *workspace) (env, hide []string) {
	env = []string{"HOME=" + w.home(), "TMPDIR=" + w.tmp(), "PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin")}
	if lang := os.Getenv("LANG"); lang != "" {
		env = append(env, "LANG="+lang)
	}
	for name, value := range g.c.Env {
		env = append(env, name+"="+value.Reveal())
		hide = append(hide, value.Reveal())
	}
	slices.Sort(env)
	return env, hide
}

// failed makes an error of a command that has failed.
func (g *generator) failed(ctx context.Context, u unit, c fluxfile.Command, summary string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	detail := ""
	if e, ok := errors.AsType[*command.Error](err); ok {
		summary += ": " + e.Status
		detail = e.Stderr
	} else {
		summary += ": " + err.Error()
	}
	return problem(u.file.Path, c.Line, summary, detail)
}

// hollow tells whether output holds nothing but comments and separators.
func hollow(output []byte) bool {
	for line := range bytes.Lines(output) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) && !bytes.Equal(line, []byte("...")) {
			return false
		}
	}
	return true
}

// patches reads the file of patches of u. It need not be there, but its
// directory must.
func (g *generator) patches(w *workspace, u unit) ([]byte, error) {
	file := filepath.Join(w.tree(), filepath.FromSlash(u.patchFile()))
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if info, statErr := os.Stat(filepath.Dir(file)); statErr == nil && info.IsDir() {
			return nil, nil
		}
		return nil, problem(u.file.Path, 0, "the directory of the patchFile "+u.patchFile()+" does not exist", "")
	}
	if err != nil {
		return nil, problem(u.patchFile(), 0, "the patchFile cannot be read: "+reason(err), "")
	}
	return data, nil
}

func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

// patchFile is relative to the tree.
func (u unit) patchFile() string { return path.Join(u.dir, u.file.PatchFile) }

// patched is what the generators of u print, before and after its patches.
type patched struct {
	before, after []patch.Object
	file          []byte // of patches
	unused        []applier.Ref
}

func (g *generator) patched(ctx context.Context, w *workspace, u unit) (*patched, error) {
	outputs, err := g.outputs(ctx, w, u)
	if err != nil {
		return nil, err
	}
	p := &patched{}
	if p.before, err = patch.Decode(bytes.Join(outputs, []byte("\n---\n"))); err != nil {
		return nil, problem(u.file.Path, u.file.Generators[0].Line, "what is generated in "+u.dir+" cannot be patched: "+err.Error(), "")
	}
	if p.file, err = g.patches(w, u); err != nil {
		return nil, err
	}
	if p.after, p.unused, err = g.patcher.Apply(p.before, p.file); err != nil {
		return nil, problem(u.patchFile(), 0, err.Error(), "")
	}
	return p, nil
}

// problem is an error that the user can fix in a file of the tree.
func problem(file string, line int, summary, detail string) error {
	return diag.Diagnostic{Summary: summary, Detail: detail, Subject: &diag.Range{File: file, Start: diag.Pos{Line: line}}}
}
