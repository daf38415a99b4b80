package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// virtualRoot is where kustomize sees the tree. It resolves .. by itself, so
// that the root's own name tells a path that has left the tree.
const virtualRoot = "/sluice-tree"

// virtual is the path at which kustomize sees rel, a path of the tree.
func virtual(rel string) string { return path.Join(virtualRoot, rel) }

// maxFile bounds what is read of one file.
const maxFile = 64 << 20

// view is the file system that kustomize sees: one tree, to be read, and
// nothing around it. It notes what was read, and what a kustomization refers to
// that is not in the tree. For one call; after its ctx has ended, every access
// fails.
type view struct {
	ctx  context.Context // of the call: kustomize has none
	dir  string          // with links resolved
	root string          // the directory that is built now, relative to the tree

	mu       sync.Mutex
	seen     map[string]bool
	refused  error // the first reference out of the tree
	warnings diag.List
}

var _ filesys.FileSystem = (*view)(nil)

func newView(ctx context.Context, dir string) (*view, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("the tree: %w", err)
	}
	return &view{ctx: ctx, dir: real, seen: map[string]bool{}}, nil
}

// files returns what was read or looked for, in order.
func (v *view) files() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := make([]string, 0, len(v.seen))
	for file := range v.seen {
		list = append(list, file)
	}
	slices.Sort(list)
	return list
}

// locate returns where name is on disk and what it is relative to the tree,
// with links resolved. It refuses what is outside of the tree.
func (v *view) locate(name string) (real, rel string, err error) {
	if err := v.ctx.Err(); err != nil {
		return "", "", err
	}
	rel, below := strings.CutPrefix(path.Clean(name), virtualRoot)
	if !below || rel != "" && rel[0] != '/' {
		return "", "", v.refuse(name, "leads out of the tree")
	}
	rel = path.Join(".", rel)
	v.note(rel)
	real, err = filepath.EvalSymlinks(filepath.Join(v.dir, filepath.FromSlash(rel)))
	if err != nil {
		return "", "", notThere(name, err)
	}
	inside, err := filepath.Rel(v.dir, real)
	if err != nil || !filepath.IsLocal(inside) {
		return "", "", v.refuse(rel, "is a link that leads out of the tree")
	}
	rel = filepath.ToSlash(inside)
	v.note(rel)
	return real, rel, nil
}

// notThere keeps paths of this machine out of err.
func notThere(name string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return &fs.PathError{Op: "open", Path: name, Err: err}
}

func (v *view) note(rel string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[rel] = true
}

// refuse remembers why something is not in the tree: kustomize tries other
// meanings of a path when the first one fails, and reports only the last.
func (v *view) refuse(name, why string) error {
	kustomization := path.Join(v.root, v.kustomizationOf(v.root))
	err := problem(kustomization, fmt.Sprintf("%s %s", strings.TrimPrefix(name, virtualRoot+"/"), why),
		"Kustomizations may use every file of the source, and no other: copy it into the repository.")
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.refused == nil {
		v.refused = err
	}
	return err
}

// kustomizationOf returns the name of the kustomization in dir.
func (v *view) kustomizationOf(dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if _, err := os.Lstat(filepath.Join(v.dir, filepath.FromSlash(dir), name)); err == nil {
			return name
		}
	}
	return konfig.DefaultKustomizationFileName()
}

// CleanedAbs implements filesys.FileSystem.
func (v *view) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	real, rel, err := v.locate(name)
	if err != nil {
		return "", "", err
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", "", notThere(name, err)
	}
	if info.IsDir() {
		return filesys.ConfirmedDir(virtual(rel)), "", nil
	}
	return filesys.ConfirmedDir(virtual(path.Dir(rel))), path.Base(rel), nil
}

// Exists implements filesys.FileSystem.
func (v *view) Exists(name string) bool {
	_, _, err := v.locate(name)
	return err == nil
}

// IsDir implements filesys.FileSystem.
func (v *view) IsDir(name string) bool {
	real, _, err := v.locate(name)
	if err != nil {
		return false
	}
	info, err := os.Stat(real)
	return err == nil && info.IsDir()
}

// ReadFile implements filesys.FileSystem. Kustomizations are checked, and that
// of the path that is built is asked to tell where objects come from.
func (v *view) ReadFile(name string) ([]byte, error) {
	real, rel, err := v.locate(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return nil, notThere(name, err)
	case !info.Mode().IsRegular():
		return nil, notThere(name, errors.New("is not a file"))
	case info.Size() > maxFile:
		return nil, notThere(name, fmt.Errorf("is larger than %d MiB", maxFile>>20))
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return nil, notThere(name, err)
	}
	if !slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(name)) {
		return data, nil
	}
	if err := v.check(rel, data); err != nil {
		return nil, err
	}
	if virtual(v.root) == path.Dir(path.Clean(name)) {
		return withOrigins(data), nil
	}
	return data, nil
}

// ReadDir implements filesys.FileSystem.
func (v *view) ReadDir(name string) ([]string, error) {
	real, _, err := v.locate(name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil, notThere(name, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Glob implements filesys.FileSystem, for patterns in the last element of a
// path, without hidden files.
func (v *view) Glob(pattern string) ([]string, error) {
	names, err := v.ReadDir(path.Dir(pattern))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, name := range names {
		ok, err := path.Match(path.Base(pattern), name)
		if err != nil {
			return nil, err
		}
		if ok && !strings.HasPrefix(name, ".") {
			found = append(found, path.Join(path.Dir(pattern), name))
		}
	}
	return found, nil
}

// The rest of filesys.FileSystem is not for building.

var errReadOnly = errors.New("the tree is only to be read")

// Open implements filesys.FileSystem.
func (v *view) Open(string) (filesys.File, error) { return nil, errReadOnly }

// Create implements filesys.FileSystem.
func (v *view) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir implements filesys.FileSystem.
func (v *view) Mkdir(string) error { return errReadOnly }

// MkdirAll implements filesys.FileSystem.
func (v *view) MkdirAll(string) error { return errReadOnly }

// RemoveAll implements filesys.FileSystem.
func (v *view) RemoveAll(string) error { return errReadOnly }

// WriteFile implements filesys.FileSystem.
func (v *view) WriteFile(string, []byte) error { return errReadOnly }

// Walk implements filesys.FileSystem.
func (v *view) Walk(string, filepath.WalkFunc) error { return errReadOnly }
