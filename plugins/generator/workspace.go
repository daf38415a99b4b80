package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// workspace is what the commands of one call may write to: a copy of the tree,
// a home and a directory for temporary files.
type workspace struct{ base string }

// newWorkspace copies the tree at dir. close removes it.
func newWorkspace(ctx context.Context, dir string) (*workspace, error) {
	base, err := os.MkdirTemp("", "generate-")
	if err != nil {
		return nil, err
	}
	w := &workspace{base}
	err = errors.Join(os.Mkdir(w.home(), 0o700), os.Mkdir(w.tmp(), 0o700), copyTree(ctx, dir, w.tree()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy the tree: %w", err), w.close())
	}
	return w, nil
}

func (w *workspace) tree() string { return filepath.Join(w.base, "tree") }
func (w *workspace) home() string { return filepath.Join(w.base, "home") }
func (w *workspace) tmp() string  { return filepath.Join(w.base, "tmp") }

// close removes everything, also what commands have made read-only.
func (w *workspace) close() error {
	err := os.RemoveAll(w.base)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(w.base, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // what cannot be removed after all is the error
		}
		return nil
	})
	return os.RemoveAll(w.base)
}

// copyTree copies files, links and directories, all of them writable.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case d.Type().IsRegular():
			return copyFile(path, target, d)
		}
		return nil // a tree holds nothing else
	})
}

func copyFile(from, to string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600|info.Mode().Perm()&0o100)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	return errors.Join(err, out.Close(), age(to))
}

// age gives a file a time of long ago, so that whatever writes to it changes
// its time, also within the same tick of the clock.
func age(file string) error { return os.Chtimes(file, time.Time{}, time.Unix(1, 0)) }
