package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// GC removes the trees that nobody holds but for those used last, and the keys
// that lead to no tree. Put calls it after each new tree.
func (s *Store) GC() error {
	err := s.measure()
	s.mu.Lock()
	outs, evictErr := s.evictIdle()
	err = errors.Join(err, evictErr, s.removeDeadKeys())
	s.mu.Unlock()
	for _, out := range outs { // may take its time
		err = errors.Join(err, remove(out))
	}
	if err != nil {
		return fmt.Errorf("tree store: collect: %w", err)
	}
	return nil
}

// measure counts the bytes of the trees of which that has not been done yet, if
// anybody wants to know.
func (s *Store) measure() error {
	if s.opts.KeepBytes <= 0 {
		return nil
	}
	onDisk, err := os.ReadDir(s.trees)
	if err != nil {
		return err
	}
	for _, d := range onDisk {
		s.mu.Lock()
		_, counted := s.sizes[d.Name()]
		s.mu.Unlock()
		if counted {
			continue
		}
		size, err := sizeOf(s.dir(d.Name()))
		if err != nil { // gone meanwhile, or the next time
			continue
		}
		s.mu.Lock()
		s.sizes[d.Name()] = size
		s.mu.Unlock()
	}
	return nil
}

// sizeOf is the length of all files below dir.
func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// evictIdle evicts all that is too old, or too much, to keep. s.mu is held.
func (s *Store) evictIdle() (outs []string, err error) {
	idle, total, err := s.idle()
	if err != nil {
		return nil, err
	}
	for n, digest := range slices.Backward(idle) {
		if n < s.opts.Keep && (s.opts.KeepBytes <= 0 || total <= s.opts.KeepBytes) {
			break
		}
		total -= s.sizes[digest]
		out, evictErr := s.evict(digest)
		if evictErr != nil {
			err = errors.Join(err, evictErr)
			continue
		}
		outs = append(outs, out)
	}
	return outs, err
}

// idle are the trees that nobody holds, the one used last first, and how many
// bytes all trees have that were counted. s.mu is held.
func (s *Store) idle() (list []string, total int64, err error) {
	onDisk, err := os.ReadDir(s.trees)
	if err != nil {
		return nil, 0, err
	}
	used := map[string]time.Time{}
	for _, d := range onDisk {
		digest := d.Name()
		total += s.sizes[digest]
		if e := s.known[digest]; e != nil {
			if e.refs > 0 {
				continue
			}
			used[digest] = e.used
		} else if info, err := d.Info(); err == nil {
			used[digest] = info.ModTime()
		}
		list = append(list, digest)
	}
	slices.SortFunc(list, func(a, b string) int { return used[b].Compare(used[a]) })
	return list, total, nil
}

// evict takes a tree from its place and returns the directory where it waits
// for its removal. s.mu is held.
func (s *Store) evict(digest string) (out string, err error) {
	delete(s.known, digest)
	delete(s.sizes, digest)
	if out, err = os.MkdirTemp(s.tmp, "old-"); err != nil {
		return "", err
	}
	if err := os.Chmod(s.dir(digest), 0o755); err != nil {
		return "", errors.Join(err, os.Remove(out))
	}
	return out, os.Rename(s.dir(digest), filepath.Join(out, "tree"))
}

// removeDeadKeys removes the records of trees that are gone. s.mu is held.
func (s *Store) removeDeadKeys() error {
	files, err := os.ReadDir(s.keys)
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		path := filepath.Join(s.keys, f.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var r record
		if json.Unmarshal(data, &r) == nil && isDigest(r.Digest) {
			if _, err := os.Lstat(s.dir(r.Digest)); err == nil {
				continue
			}
		}
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// discard removes a tree that is not what its name says, unless somebody has
// put a good one there since.
func (s *Store) discard(digest string) {
	s.mu.Lock()
	var out string
	var err error
	if s.known[digest] == nil {
		out, err = s.evict(digest)
	}
	s.mu.Unlock()
	if err == nil {
		_ = remove(out) // swept by the next Open otherwise
	}
}
