package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// snapshot knows what the files of a working tree should hold: what the source
// holds, but for the edits that were made. It finds what commands have changed
// since, to take it over or back.
type snapshot struct {
	original string            // the source's tree
	tree     string            // the working tree
	wanted   map[string][]byte // content of files that were edited, nil if deleted
	marks    map[string]mark   // of the files in the working tree
}

// mark changes whenever a file does.
type mark struct {
	size, modified int64
	mode           fs.FileMode
	link           string
}

// newSnapshot begins with tree, a copy of original as copyTree makes it.
func newSnapshot(ctx context.Context, original, tree string) (*snapshot, error) {
	all, err := marks(ctx, tree)
	return &snapshot{original: original, tree: tree, wanted: map[string][]byte{}, marks: all}, err
}

// edits are what was taken over, against the source.
func (s *snapshot) edits() []source.Edit {
	var list []source.Edit
	for _, file := range slices.Sorted(maps.Keys(s.wanted)) {
		old, err := os.ReadFile(filepath.Join(s.original, filepath.FromSlash(file)))
		if err != nil {
			old = nil
		}
		if now := s.wanted[file]; !bytes.Equal(old, now) || (old == nil) != (now == nil) {
			list = append(list, source.Edit{Path: file, Old: old, New: now})
		}
	}
	return list
}

// take makes what has changed part of what is wanted.
func (s *snapshot) take(ctx context.Context) error {
	changed, err := s.changed(ctx)
	if err != nil {
		return err
	}
	for _, file := range changed {
		content, err := regular(filepath.Join(s.tree, filepath.FromSlash(file)))
		if err != nil {
			return errors.Join(fmt.Errorf("the updaters have changed %s, which cannot be committed: %w", file, err), s.restore(ctx))
		}
		if err := s.note(file, content); err != nil {
			return err
		}
	}
	return nil
}

// regular reads a file; nil if there is none.
func regular(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a file any more")
	}
	return os.ReadFile(path)
}

// note makes content what is wanted of a file that holds it.
func (s *snapshot) note(file string, content []byte) error {
	s.wanted[file] = content
	if content == nil {
		delete(s.marks, file)
		return nil
	}
	if err := age(filepath.Join(s.tree, filepath.FromSlash(file))); err != nil {
		return err
	}
	return s.remark(file)
}

// restore takes back what has changed since the last take.
func (s *snapshot) restore(ctx context.Context) error {
	changed, err := s.changed(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	return s.reset(changed)
}

// changed lists files that are not as they were marked.
func (s *snapshot) changed(ctx context.Context) ([]string, error) {
	now, err := marks(ctx, s.tree)
	if err != nil {
		return nil, err
	}
	return differences(s.marks, now), nil
}

func differences(a, b map[string]mark) []string {
	var list []string
	for file, m := range a {
		if b[file] != m {
			list = append(list, file)
		}
	}
	for file := range b {
		if _, ok := a[file]; !ok {
			list = append(list, file)
		}
	}
	slices.Sort(list)
	return list
}

// reset gives files the content that is wanted of them.
func (s *snapshot) reset(files []string) error {
	for _, file := range files {
		if err := s.resetOne(file); err != nil {
			return fmt.Errorf("take back what was changed in %s: %w", file, err)
		}
	}
	return nil
}

func (s *snapshot) resetOne(file string) error {
	at, from := filepath.Join(s.tree, filepath.FromSlash(file)), filepath.Join(s.original, filepath.FromSlash(file))
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	content, edited := s.wanted[file]
	if edited && content == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	if edited {
		if err := os.WriteFile(at, content, 0o600); err != nil {
			return err
		}
		return s.note(file, content)
	}
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		delete(s.marks, file)
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		link, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return errors.Join(os.Symlink(link, at), s.remark(file))
	}
	return errors.Join(copyFile(from, at, fs.FileInfoToDirEntry(info)), s.remark(file))
}

func (s *snapshot) remark(file string) error {
	at := filepath.Join(s.tree, filepath.FromSlash(file))
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	link := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(at); err != nil {
			return err
		}
	}
	s.marks[file] = markOf(info, link)
	return nil
}

// marks walks a tree. Directories have none: nobody commits them.
func marks(ctx context.Context, root string) (map[string]mark, error) {
	all := map[string]mark{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		link := ""
		if d.Type()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		all[filepath.ToSlash(rel)] = markOf(info, link)
		return nil
	})
	return all, err
}

func markOf(info fs.FileInfo, link string) mark {
	if link != "" {
		return mark{link: link}
	}
	return mark{size: info.Size(), modified: info.ModTime().UnixNano(), mode: info.Mode()}
}
