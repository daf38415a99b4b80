package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Exported tells what an export found that a reader may want to know.
type Exported struct {
	Files      int
	Submodules []string // paths; not followed
	LFS        []string // paths of files that are Git LFS pointers; written as they are
}

// ErrUnsafe is wrapped by the error for a tree that git itself would not
// check out (a path with ".git", ".." or a slash in a name, or the same name
// twice), or that is too large.
var ErrUnsafe = errors.New("the tree is not safe to write")

// ErrDamaged is wrapped by the error for objects that are missing from the
// mirror or cannot be read.
var ErrDamaged = errors.New("the mirror is damaged")

// Export writes the tree of a commit into the empty directory dir: file
// contents as they were committed, without filters and end-of-line rules,
// executable bits, and symbolic links as they stand, which are made last and
// never followed. Nothing is written outside dir. A tree beyond the limits is
// ErrUnsafe: a few small objects can make up billions of files, and one
// compressed blob a full disk.
func (m *Mirror) Export(ctx context.Context, hash, dir string, limits Limits) (Exported, error) {
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return Exported{}, err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	c, err := st.commit(plumbing.NewHash(hash))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return Exported{}, ErrUnknown
	}
	if err != nil {
		return Exported{}, errors.Join(ErrDamaged, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Exported{}, err
	}
	defer func() { _ = root.Close() }() // a directory, opened for reading
	x := &export{ctx: ctx, store: st, root: root, left: limits, buf: make([]byte, 128<<10)}
	if err := x.tree(c.TreeHash, ""); err != nil {
		return Exported{}, err
	}
	return x.Exported, x.symlinks()
}

// Limits bound a tree.
type Limits struct {
	Entries int   // files, directories and links
	Bytes   int64 // in files
}

type export struct {
	Exported
	ctx   context.Context
	store store
	root  *os.Root
	left  Limits // what may still come
	buf   []byte
	links []link
}

type link struct{ path, target string }

// tree writes the tree with hash at path, "" being the root.
func (x *export) tree(hash plumbing.Hash, at string) error {
	t, err := object.GetTree(x.store, hash)
	if err != nil {
		return fmt.Errorf("%w: tree %s: %w", ErrDamaged, hash, err)
	}
	for _, e := range t.Entries {
		if err := x.ctx.Err(); err != nil {
			return err
		}
		if x.left.Entries--; x.left.Entries < 0 {
			return fmt.Errorf("%w: it has too many entries", ErrUnsafe)
		}
		if unsafeName(e.Name) {
			return fmt.Errorf("%w: %q", ErrUnsafe, path.Join(at, e.Name))
		}
		if err := x.entry(e, path.Join(at, e.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (x *export) entry(e object.TreeEntry, at string) error {
	switch e.Mode {
	case filemode.Dir:
		if err := x.root.Mkdir(at, 0o755); err != nil {
			return twice(at, err)
		}
		return x.tree(e.Hash, at)
	case filemode.Submodule:
		x.Submodules = append(x.Submodules, at)
		return nil
	case filemode.Symlink:
		target, err := x.content(e.Hash, 4096)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		x.links = append(x.links, link{at, target})
		return nil
	case filemode.Executable:
		return x.file(e.Hash, at, 0o755)
	}
	return x.file(e.Hash, at, 0o644)
}

func (x *export) file(hash plumbing.Hash, at string, mode os.FileMode) (err error) {
	r, err := x.blob(hash)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	defer func() { _ = r.Close() }() // all of it has been read, or an error says more
	f, err := x.root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return twice(at, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	x.Files++
	return x.copy(f, r, at)
}

// copy writes r to f, telling a bad object from a bad disk, and looks whether
// it is an LFS pointer.
func (x *export) copy(f *os.File, r io.Reader, at string) error {
	for first := true; ; first = false {
		n, err := io.ReadFull(r, x.buf)
		if first && strings.HasPrefix(string(x.buf[:min(n, 64)]), "version https://git-lfs.github.com/spec/") {
			x.LFS = append(x.LFS, at)
		}
		if x.left.Bytes -= int64(n); x.left.Bytes < 0 {
			return fmt.Errorf("%w: it has too many bytes", ErrUnsafe)
		}
		if _, werr := f.Write(x.buf[:n]); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w: %w", at, ErrDamaged, err)
		}
	}
}

func (x *export) blob(hash plumbing.Hash) (io.ReadCloser, error) {
	b, err := object.GetBlob(x.store, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", ErrDamaged, hash, err)
	}
	r, err := b.Reader()
	if err != nil {
		return nil, fmt.Errorf("%w: blob %s: %w", ErrDamaged, hash, err)
	}
	return r, nil
}

// content returns a blob of at most limit bytes.
func (x *export) content(hash plumbing.Hash, limit int64) (string, error) {
	r, err := x.blob(hash)
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }() // read to its end below
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%w: the target of the symbolic link is too long", ErrUnsafe)
	}
	return string(b), nil
}

// symlinks makes the links that the tree holds. They come last, so that no
// file is ever written through one.
func (x *export) symlinks() error {
	for _, l := range x.links {
		if err := x.root.Symlink(l.target, l.path); err != nil {
			return twice(l.path, err)
		}
	}
	return nil
}

// twice recognises a tree with one name twice, which only a forged one has.
func twice(at string, err error) error {
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %q stands there twice", ErrUnsafe, at)
	}
	return err
}

// unsafeName tells names that git refuses to check out.
func unsafeName(name string) bool {
	switch {
	case name == "", name == ".", name == "..", strings.ContainsAny(name, "/\\\x00"):
		return true
	case strings.EqualFold(name, ".git"), strings.EqualFold(name, "git~1"):
		return true
	}
	return false
}
