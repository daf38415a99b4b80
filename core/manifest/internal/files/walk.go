// Package files finds the manifests of a tree: every .yaml, .yml and .json file
// but those below dot names, of Helm charts, and those that a .sluiceignore
// names. It opens nothing outside of the tree.
package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Walker finds the files of a tree. It opens nothing outside of the root,
// whatever the links of the tree say.
type Walker struct {
	Files    []string // found so far, in order, relative to the root, with slashes
	Problems diag.List
	Skipped  []Skip
	Unread   atomic.Bool // something could not be read this time

	root *os.Root
	real string // the root's path without symbolic links

	seen map[string]bool // files and directories by their path without links
}

// New returns a walker of the directory dir.
func New(dir string) (*Walker, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	return &Walker{root: root, real: real, seen: map[string]bool{}}, nil
}

// Close lets go of the root. Closing a directory that was only read cannot
// lose anything.
func (w *Walker) Close() { _ = w.root.Close() }

// fail reports a file or directory that cannot be loaded.
func (w *Walker) fail(file, summary, detail string) {
	w.Problems = append(w.Problems, diag.Diagnostic{
		Summary: summary, Detail: detail, Subject: &diag.Range{File: file},
	})
}

func (w *Walker) skip(file, reason string) {
	w.Skipped = append(w.Skipped, Skip{Path: file, Reason: reason})
}

// Path walks one of the paths that the user named. What is named is taken even
// if its name begins with a dot or a .sluiceignore has it.
func (w *Walker) Path(ctx context.Context, name string) {
	p := path.Clean(filepath.ToSlash(name))
	if !filepath.IsLocal(filepath.FromSlash(p)) {
		w.fail(name, "the path leads out of the tree", "Paths are relative to the root of the source, without a leading slash.")
		return
	}
	info, err := w.root.Lstat(filepath.FromSlash(p))
	if errors.Is(err, fs.ErrNotExist) {
		w.fail(p, "no such path in the source", "")
		return
	}
	if err != nil {
		w.unreadable(p, err)
		return
	}
	dir, err := w.evaluate(path.Dir(p)) // a directory on the way may be a link
	if err != nil {
		w.unreadable(p, err)
		return
	}
	rules := &rules{}
	for _, above := range ancestors(p) {
		rules = w.ignoreFile(above, rules)
	}
	w.entry(ctx, place{p, path.Join(dir, path.Base(p))}, info.Mode().Type(), rules)
	if n := len(w.Skipped); n > 0 && w.Skipped[n-1].Path == p {
		w.Problems = append(w.Problems, diag.Diagnostic{Severity: diag.Warning,
			Summary: "nothing is loaded from " + p, Detail: "The path is skipped: " + w.Skipped[n-1].Reason + ".",
			Subject: &diag.Range{File: p}})
	}
}

// ancestors returns the directories above p, the root first.
func ancestors(p string) (dirs []string) {
	for p != "." {
		p = path.Dir(p)
		dirs = append(dirs, p)
	}
	slices.Reverse(dirs)
	return dirs
}

// place is where a file or directory is: by the names that lead to it, and
// without the links among them.
type place struct{ path, real string }

func (p place) join(name string) place {
	return place{path.Join(p.path, name), path.Join(p.real, name)}
}

// entry walks a file or directory.
func (w *Walker) entry(ctx context.Context, at place, mode fs.FileMode, rules *rules) {
	if mode&fs.ModeSymlink != 0 {
		var ok bool
		if at.real, mode, ok = w.follow(at.path); !ok {
			return
		}
	}
	if w.seen[at.real] {
		return
	}
	w.seen[at.real] = true
	switch {
	case mode.IsDir():
		w.dir(ctx, at, rules)
	case mode.IsRegular():
		w.Files = append(w.Files, at.path)
	default:
		w.fail(at.path, "not a file but "+typeName(mode), "Only files, directories and links to them are read.")
	}
}

// follow returns where a link leads within the tree and what is there. If it
// leads nowhere it reports that.
func (w *Walker) follow(p string) (real string, mode fs.FileMode, ok bool) {
	target, err := w.root.Readlink(filepath.FromSlash(p))
	if err != nil {
		w.unreadable(p, err)
		return "", 0, false
	}
	real, err = w.evaluate(p)
	if original, confined := strings.CutPrefix(target, confinedLink); confined {
		err = errOutside
		if text, unescapeErr := url.PathUnescape(original); unescapeErr == nil {
			target = text
		}
	}
	switch {
	case errors.Is(err, errOutside):
		w.fail(p, fmt.Sprintf("the symbolic link to %s leads out of the tree", target), "It is not followed. Put the file into the repository.")
		return "", 0, false
	case err != nil:
		w.fail(p, fmt.Sprintf("the symbolic link to %s leads nowhere", target), "")
		return "", 0, false
	}
	info, err := w.root.Lstat(filepath.FromSlash(real))
	if err != nil {
		w.unreadable(p, err)
		return "", 0, false
	}
	return real, info.Mode().Type(), true
}

// confinedLink begins what the tree store (core/tree) has made of a link that
// led out of the tree.
const confinedLink = ".outside-of-the-tree/link-to-"

var errOutside = errors.New("outside of the tree")

// evaluate returns the path of p without links, relative to the root.
func (w *Walker) evaluate(p string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join(w.real, filepath.FromSlash(p)))
	if err != nil {
		// Whether it exists out there is nothing that a repository may learn.
		if _, statErr := w.root.Stat(filepath.FromSlash(p)); statErr != nil && !errors.Is(statErr, fs.ErrNotExist) && !errors.Is(statErr, syscall.ELOOP) {
			return "", errOutside
		}
		return "", err
	}
	rel, err := filepath.Rel(w.real, real)
	if err != nil || !filepath.IsLocal(rel) {
		return "", errOutside
	}
	return filepath.ToSlash(rel), nil
}

// dir walks a directory's entries by name.
func (w *Walker) dir(ctx context.Context, at place, rules *rules) {
	entries, err := fs.ReadDir(w.root.FS(), at.path)
	if err != nil {
		w.unreadable(at.path, err)
		return
	}
	if isChart(entries) {
		w.skip(at.path, "it is a Helm chart")
		return
	}
	rules = w.ignoreFile(at.path, rules)
	for _, e := range entries {
		if ctx.Err() != nil {
			return
		}
		child := at.join(e.Name())
		switch {
		case !w.wanted(e, child.path):
		case rules.match(child.path, e.IsDir()):
			w.skip(child.path, "a .sluiceignore names it")
		default:
			w.entry(ctx, child, e.Type(), rules)
		}
	}
}

// wanted reports whether an entry's name and type are of those that are
// loaded. A link needs no extension if it leads to a directory.
func (w *Walker) wanted(e fs.DirEntry, p string) bool {
	switch {
	case strings.HasPrefix(e.Name(), "."):
		return false
	case e.IsDir(), isManifestName(e.Name()):
		return true
	}
	return isLink(e) && w.isDirLink(p)
}

func isLink(e fs.DirEntry) bool { return e.Type()&fs.ModeSymlink != 0 }

// isDirLink reports whether the link p leads to a directory, or may have done
// so: one that leads nowhere counts unless it is named like a file, since what
// was behind it would look as if it had been deleted (adr/0005).
func (w *Walker) isDirLink(p string) bool {
	real, err := w.evaluate(p)
	if err != nil {
		return errors.Is(err, errOutside) || !namedLikeAFile(p)
	}
	info, err := w.root.Lstat(filepath.FromSlash(real))
	return err == nil && info.IsDir()
}

// namedLikeAFile reports whether a name ends like README.md and not like v1.2.
func namedLikeAFile(p string) bool {
	ext := strings.TrimPrefix(path.Ext(p), ".")
	letter := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	return ext != "" && strings.IndexFunc(ext, func(r rune) bool { return !letter(r) }) < 0
}

// isChart reports whether a directory's entries are those of a Helm chart.
func isChart(entries []fs.DirEntry) bool {
	has := func(name string, dir bool) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name && e.IsDir() == dir })
	}
	return has("Chart.yaml", false) && (has("values.yaml", false) || has("templates", true))
}

func isManifestName(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// ErrTooLarge is the error of Read for a file with too many bytes.
var ErrTooLarge = errors.New("too large")

// Read reads a file of up to max bytes.
func (w *Walker) Read(file string, max int64) ([]byte, error) {
	f, err := w.root.Open(filepath.FromSlash(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > max {
		return nil, ErrTooLarge
	}
	return data, nil
}

// unreadable reports a failure that is the file system's.
func (w *Walker) unreadable(p string, err error) {
	w.Unread.Store(true)
	w.fail(p, "cannot be read", sentence(Cause(err)))
}

// Cause returns the cause of a file system error, without the operation
// and the path, which a diagnostic has already.
func Cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func typeName(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// Skip is a file or directory that was left out on purpose.
type Skip struct {
	Path   string // relative to the root, with slashes
	Reason string
}

// sentence makes an error text a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
