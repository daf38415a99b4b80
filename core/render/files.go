package render

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies files, links and directories to a directory of its own, all
// of them writable.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
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
	return errors.Join(err, out.Close())
}

// fileChange is what changes have made of a file of the working copy.
type fileChange struct {
	old, new []byte // nil: there is none
	edits    []int  // that have changed it; nil: that is not known
}

// draft is a working copy of a tree with the changes that were made in it. Each
// step can be taken back.
type draft struct {
	root    *os.Root
	changed map[string]fileChange
}

func newDraft(dir string) (*draft, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &draft{root: root, changed: map[string]fileChange{}}, nil
}

func (d *draft) close() error { return d.root.Close() }

// step is what a draft holds at one time.
type step map[string]fileChange

// mark returns what back returns to.
func (d *draft) mark() step {
	s := step{}
	for file, c := range d.changed {
		s[file] = c
	}
	return s
}

// back undoes what was done since s.
func (d *draft) back(s step) error {
	for file, c := range d.changed {
		before, ok := s[file]
		switch {
		case !ok:
			if err := d.put(file, c.old); err != nil {
				return err
			}
			delete(d.changed, file)
		case string(before.new) != string(c.new) || (before.new == nil) != (c.new == nil):
			if err := d.put(file, before.new); err != nil {
				return err
			}
			d.changed[file] = before
		}
	}
	return nil
}

// write gives a file its new content, nil to remove it, on behalf of edits.
func (d *draft) write(file string, content []byte, edits []int) error {
	c, ok := d.changed[file]
	if !ok {
		old, err := d.read(file)
		if err != nil {
			return err
		}
		c = fileChange{old: old, edits: []int{}}
	}
	c.new = content
	if edits == nil || c.edits == nil {
		c.edits = nil
	} else {
		c.edits = append(append([]int{}, c.edits...), edits...)
	}
	if err := d.put(file, content); err != nil {
		return err
	}
	d.changed[file] = c
	return nil
}

// read returns the content of a file, nil if there is none.
func (d *draft) read(file string) ([]byte, error) {
	data, err := d.root.ReadFile(filepath.FromSlash(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && data == nil {
		data = []byte{}
	}
	return data, err
}

func (d *draft) put(file string, content []byte) error {
	name := filepath.FromSlash(file)
	if content == nil {
		return d.root.Remove(name)
	}
	if err := d.root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return d.root.WriteFile(name, content, 0o600)
}
