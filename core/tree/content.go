package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// outside is where a symbolic link leads to, in a directory that does not
// exist, after it led out of its tree: nobody can reach files of the host
// through it. What follows it is the original target, URL-escaped, so that who
// meets the link can say what was wrong with it; core/manifest does.
const outside = ".outside-of-the-tree/link-to-"

// scanner reads all of a tree and computes its digest, which covers names,
// contents, links and whether a file is executable.
type scanner struct {
	dir    string
	opts   Options
	digest hash.Hash
	files  int
	bytes  int64
}

// scan returns the digest of the tree at dir. It fails on what is neither a
// file, a directory nor a link, and on a tree beyond the limits.
func scan(dir string, o Options) (digest string, err error) {
	s := &scanner{dir: dir, opts: o, digest: sha256.New()}
	if err := filepath.WalkDir(dir, s.entry); err != nil {
		return "", err
	}
	return hex.EncodeToString(s.digest.Sum(nil)), nil
}

func (s *scanner) entry(p string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if s.files++; s.files > s.opts.MaxFiles {
		return fmt.Errorf("more than %d files and directories", s.opts.MaxFiles)
	}
	rel, err := filepath.Rel(s.dir, p)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	switch {
	case d.IsDir():
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(p)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.digest, "link %q %q\n", rel, target)
		return nil
	case !d.Type().IsRegular():
		return fmt.Errorf("%s is neither a file, a directory nor a symbolic link", rel)
	}
	return s.file(p, rel)
}

func (s *scanner) file(p, rel string) error {
	info, err := os.Lstat(p)
	if err != nil {
		return err
	}
	sum, n, err := hashFile(p, s.opts.MaxBytes-s.bytes)
	if errors.Is(err, errTooLong) {
		return fmt.Errorf("more than %d bytes", s.opts.MaxBytes)
	}
	if err != nil {
		return err
	}
	s.bytes += n
	kind := "file"
	if info.Mode()&0o100 != 0 {
		kind = "executable"
	}
	fmt.Fprintf(s.digest, "%s %q %s\n", kind, rel, sum)
	return nil
}

var errTooLong = errors.New("too long")

// hashFile returns the SHA-256 and the length of the file at p, or errTooLong
// if it is longer than limit.
func hashFile(p string, limit int64) (sum string, n int64, err error) {
	f, err := os.Open(p)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	n, err = io.Copy(h, io.LimitReader(f, limit+1))
	if err != nil {
		return "", n, err
	}
	if n > limit {
		return "", n, errTooLong
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// confine turns each symbolic link that leads out of dir into one that leads
// nowhere, see outside. The rest of the tree stays as it is: one bad link
// does not make it useless.
func confine(dir string) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(p)
		if err != nil {
			return err
		}
		inside, err := leadsInside(root, filepath.Dir(p), target)
		if err != nil || inside {
			return err
		}
		if err := os.Remove(p); err != nil {
			return err
		}
		return os.Symlink(outside+url.PathEscape(target), p)
	})
}

// maxLinks is how many links one path may lead through, as in the kernel.
const maxLinks = 40

// leadsInside reports whether the link from directory at to target stays
// within root at each step, whether or not there is something at its end. A
// circle stays inside.
func leadsInside(root, at, target string) (bool, error) {
	todo := strings.Split(filepath.ToSlash(target), "/")
	if filepath.IsAbs(target) {
		return false, nil
	}
	for links := 0; len(todo) > 0; {
		step := todo[0]
		todo = todo[1:]
		switch step {
		case "", ".":
			continue
		case "..":
			if at == root {
				return false, nil
			}
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, step)
		info, err := os.Lstat(next)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			at = next // a file, a directory, or nothing
			continue
		}
		through, err := os.Readlink(next)
		if err != nil {
			return false, err
		}
		if filepath.IsAbs(through) {
			return false, nil
		}
		if links++; links > maxLinks {
			return true, nil
		}
		todo = append(strings.Split(filepath.ToSlash(through), "/"), todo...)
	}
	return true, nil
}

// makeReadOnly takes the permission to write from everything in dir but dir
// itself.
func makeReadOnly(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if d.IsDir() || info.Mode()&0o100 != 0 {
			mode = 0o555
		}
		return os.Chmod(p, mode)
	})
}

// remove removes dir and all below it, read-only or not. It does nothing if
// there is no dir.
func remove(dir string) error {
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.RemoveAll(dir)
}
