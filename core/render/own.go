package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// kustomizationNames are the files that kustomize reads as instructions, in its
// order.
var kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

// isOwn reports whether a file stands below one of the paths that are rendered,
// links followed. What stands elsewhere may be rendered by others, too: a base
// that the overlays of several environments share.
func (a *application) isOwn(file string) bool {
	if own, known := a.own[file]; known {
		return own
	}
	at := a.real(file)
	a.own[file] = slices.ContainsFunc(a.paths, func(p string) bool {
		dir := a.real(a.directory(p))
		return dir == "." || at == dir || strings.HasPrefix(at, dir+"/")
	})
	return a.own[file]
}

// directory returns what a path renders: it may also name the kustomization.
func (a *application) directory(p string) string {
	p = path.Clean(p)
	info, err := a.root.Stat(filepath.FromSlash(p))
	if err == nil && !info.IsDir() && slices.Contains(kustomizationNames, path.Base(p)) {
		return path.Dir(p)
	}
	return p
}

// real returns the path of a file of the working copy without links. What
// cannot be followed is where it says.
func (a *application) real(file string) string {
	root, err := filepath.EvalSymlinks(a.dir("tree"))
	if err != nil {
		return path.Clean(file)
	}
	target, err := filepath.EvalSymlinks(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		return path.Clean(file)
	}
	rel, err := filepath.Rel(root, target)
	if err != nil {
		return path.Clean(file)
	}
	return filepath.ToSlash(rel)
}

// kustomization returns the file that a path is rendered by, or "" if it is
// none of kustomize's, or not the path's own.
func (a *application) kustomization(p string) string {
	for _, name := range kustomizationNames {
		file := path.Join(a.directory(p), name)
		info, err := a.root.Stat(filepath.FromSlash(file))
		if err == nil && info.Mode().IsRegular() {
			if a.before.Files != nil && !slices.Contains(a.before.Files, file) || !a.isOwn(file) {
				return ""
			}
			return file
		}
	}
	return ""
}

// findHomes finds out by which of the paths each workload is rendered, by
// rendering each path alone. It does so once, and not for a plugin that makes
// the edits itself.
func (a *application) findHomes(ctx context.Context) error {
	if a.homes != nil || a.updater != nil {
		return nil
	}
	a.homes = map[string]string{}
	for _, p := range a.paths {
		dir := a.before.Dir
		if len(a.paths) > 1 {
			r, err := Run(ctx, a.renderer, a.dir("tree"), []string{p}, a.options.Namespace, a.dir("home"))
			if err != nil {
				return err
			}
			dir = r.Dir
		}
		t, err := edit.Open(ctx, dir, edit.TreeOptions{Options: a.options})
		if err != nil {
			return err
		}
		for _, w := range t.Found().Workloads {
			home := p
			if other, twice := a.homes[w.ID]; twice && other != p {
				home = "" // which of them it is cannot be told
			}
			a.homes[w.ID] = home
		}
	}
	return nil
}

// addition is a new entry in the kustomization of the path that renders w: it
// is applied after all that bases and patches say, and to nothing else. ok is
// false before findHomes, and where there is no such kustomization.
func (a *application) addition(e edit.Edit, w edit.Workload, current string) (p place, ok bool) {
	home, known := a.homes[w.ID]
	image, err := ref.Parse(current)
	if !known || home == "" || err != nil {
		return place{}, false
	}
	file := a.kustomization(home)
	if file == "" {
		return place{}, false
	}
	return place{file: file, edit: edit.Edit{Kustomize: image.Name(), Add: true, Image: e.Image}}, true
}

// makeEntry makes the edit of a kustomization's entry. An entry may be there
// already for another edit: then it is due to both.
func (a *application) makeEntry(i int, p place) error {
	old, err := a.read(p.file)
	if err != nil {
		return err
	}
	now, errs := edit.Apply(old, a.options, []edit.Edit{p.edit})
	if refused, ok := errors.AsType[*edit.RefusedError](errs[0]); ok {
		refused.File = p.file
	}
	if errs[0] != nil {
		a.errs[i] = errs[0]
		return nil
	}
	if _, changed := a.changed[p.file]; !changed && bytes.Equal(old, now) {
		return nil
	}
	return a.write(p.file, now, []int{i})
}

// nowhere is the error of an edit that there is no place for.
func (a *application) nowhere(i int) error {
	e := a.edits[i]
	var files []string
	for _, p := range a.allPlaces(i) {
		if !slices.Contains(files, p.file) {
			files = append(files, p.file)
		}
	}
	if len(files) == 0 {
		return fmt.Errorf("none of the files that were read says it, as far as can be seen; change it by hand: %w", edit.ErrNotFound)
	}
	do := "give the path of this sync a kustomization with an entry of its images, or change it there by hand"
	switch {
	case len(e.Set) > 0:
		do = "say the annotation in a patch below the path of this sync, or change it there by hand"
	case e.Image == "":
		do = "change it there by hand"
	}
	return fmt.Errorf("it stands in %s, which is not below the paths of this sync, and would change for all that use it: %s", strings.Join(files, ", "), do)
}
