// Package manifest reads the objects that a source's files declare.
//
// Load walks files and directories of a tree and takes every .yaml, .yml and
// .json file, with these exceptions:
//
//   - files and directories whose name begins with a dot;
//   - Helm charts: directories with a Chart.yaml beside a values.yaml or a
//     templates directory, and all below them;
//   - kustomizations, which are instructions and no objects;
//   - what a .sluiceignore file names, in the syntax of .gitignore, for its
//     own directory and all below.
//
// A file may hold several documents, a document a List of objects. Scalars
// mean what they mean to kubectl: YAML 1.1, so that yes is a boolean and 0755
// is octal. Symbolic links are followed within the tree, never out of it, and
// a file that is reached twice is read once.
//
// A bad file or document harms only its own objects: it becomes a Problem with
// file and line, the other objects load all the same, and the Result says that
// it is not complete. Load trusts nothing that it reads: sizes, nesting and
// the expansion of aliases are bounded.
package manifest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/internal/files"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// DefaultMaxFileSize is the size from which on a file is refused. The largest
// object that an API server takes has about 3 MB.
const DefaultMaxFileSize = 10 << 20

// Options configures Load. The zero value reads everything below the root.
type Options struct {
	// Paths are the files and directories to read, relative to the root, with
	// slashes. Empty means the root itself.
	Paths []string
	// Cache, if there is one, remembers what files and trees held.
	Cache *Cache
	// Tree identifies the content of the root, for example by a digest. With
	// it the Cache remembers whole results, and a Load of a tree that it knows
	// reads nothing at all.
	Tree string
	// MaxFileSize is in bytes; 0 means DefaultMaxFileSize.
	MaxFileSize int64
	// Origin, if there is one, tells where what stands in a line of a file of
	// the root comes from: objects and problems are named by that. It is for
	// roots that were rendered, of which the Cache remembers files only.
	Origin func(file string, line int) (string, int)
}

// at is Origin, which may be missing.
func (o Options) at(file string, line int) (string, int) {
	if o.Origin == nil {
		return file, line
	}
	return o.Origin(file, line)
}

// Object is one object of a file.
type Object struct {
	Ref  applier.Ref // as written: without a namespace where the file has none
	File string      // relative to the root, with slashes
	Line int         // of the object's first key, from 1
	// Ignore names the annotation by which the file tells to leave the
	// object alone: it is wanted, so never pruned, but not applied. Empty if it
	// is not ignored.
	Ignore string
	// JSON is the object, with sorted keys. It is shared: do not change it.
	JSON json.RawMessage
}

// Item returns o with its object decoded: integers are int64, other numbers
// float64.
func (o Object) Item() (applier.Item, error) {
	object, err := decodeObject(o.JSON)
	if err != nil {
		return applier.Item{}, fmt.Errorf("%s:%d: %w", o.File, o.Line, err)
	}
	return applier.Item{File: o.File, Line: o.Line, Ignore: o.Ignore, Object: object}, nil
}

// Skip is a file or directory that was left out on purpose.
type Skip struct {
	Path   string // relative to the root, with slashes
	Reason string
}

// Result is what a Load found. It is shared: do not change it.
type Result struct {
	Objects  []Object  // in the order of Paths, then of file names, then of lines
	Problems diag.List // each with a Subject whose File is relative to the root
	Skipped  []Skip
	Files    int // that were read, bad ones included
	// Complete says that Objects is everything that the paths declare: there
	// is no Problem of severity Error.
	Complete bool
	// Digest changes when Objects do, in content or order, and when Complete
	// does; not when objects move between files.
	Digest string
}

// Load reads the objects below o.Paths of the directory root, or those of the
// one file that root names. What is wrong with the content is in
// Result.Problems; the error says that the root cannot be read or that ctx has
// ended. It may be called concurrently with the same Cache.
func Load(ctx context.Context, root string, o Options) (Result, error) {
	if o.MaxFileSize <= 0 {
		o.MaxFileSize = DefaultMaxFileSize
	}
	root, o, err := resolveRoot(root, o)
	if err != nil {
		return Result{}, err
	}
	key := resultKey(o)
	if r, ok := o.Cache.result(key); ok {
		return r, nil
	}
	w, err := files.New(root)
	if err != nil {
		return Result{}, fmt.Errorf("load manifests: %w", err)
	}
	defer w.Close()
	for _, p := range o.Paths {
		w.Path(ctx, p)
	}
	contents, err := readAll(ctx, w, o)
	if err != nil {
		return Result{}, fmt.Errorf("load manifests: %w", err)
	}
	r := merge(w, contents, o)
	if !w.Unread.Load() {
		o.Cache.putResult(key, r)
	}
	return r, nil
}

// resolveRoot makes a root that is a file a directory with one path.
func resolveRoot(root string, o Options) (string, Options, error) {
	o.Paths = slices.Clone(o.Paths)
	info, err := os.Stat(root)
	if err != nil {
		return "", o, fmt.Errorf("load manifests: %w", err)
	}
	if !info.IsDir() {
		root, o.Paths = filepath.Dir(root), []string{filepath.Base(root)}
	}
	if len(o.Paths) == 0 {
		o.Paths = []string{"."}
	}
	return root, o, nil
}

// readAll reads and parses the files that the walk has found and returns their
// contents in the same order.
func readAll(ctx context.Context, w *files.Walker, o Options) ([]*content, error) {
	contents := make([]*content, len(w.Files))
	err := files.Each(ctx, len(contents), func(i int) { contents[i] = read(w, w.Files[i], o) })
	return contents, err
}

// merge joins the contents of files and refuses objects that were there before.
func merge(w *files.Walker, contents []*content, opts Options) Result {
	r := Result{Problems: w.Problems, Skipped: skips(w.Skipped), Files: len(w.Files)}
	first := map[applier.Ref]int{} // identity -> index in r.Objects
	for i, c := range contents {
		file := w.Files[i]
		for _, d := range c.problems {
			r.Problems = append(r.Problems, opts.inFile(d, file))
		}
		if c.skip != "" {
			r.Skipped = append(r.Skipped, Skip{Path: file, Reason: c.skip})
		}
		for _, o := range c.objects {
			o.File, o.Line = opts.at(file, o.Line)
			if at, exists := first[o.Ref.Identity()]; exists {
				r.Problems = append(r.Problems, duplicate(r.Objects[at], o))
				continue
			}
			first[o.Ref.Identity()] = len(r.Objects)
			r.Objects = append(r.Objects, o)
		}
	}
	r.Complete = !r.Problems.HasErrors()
	r.Digest = digest(r)
	return r
}

func skips(list []files.Skip) (skipped []Skip) {
	for _, s := range list {
		skipped = append(skipped, Skip(s))
	}
	return skipped
}

// inFile returns d with its place in file, or where that comes from.
func (o Options) inFile(d diag.Diagnostic, file string) diag.Diagnostic {
	at := *d.Subject
	at.File = file
	if origin, line := o.at(file, at.Start.Line); origin != file && line != at.Start.Line {
		d.Detail = strings.TrimSpace(fmt.Sprintf("%s It is in line %d of what was rendered.", d.Detail, at.Start.Line))
		at = diag.Range{File: origin, Start: diag.Pos{Line: line}, End: diag.Pos{Line: line}}
	} else {
		at.File = origin
	}
	d.Subject = &at
	return d
}

// duplicate refuses second, because first was loaded before. Copies that say
// the same are only worth a warning.
func duplicate(first, second Object) diag.Diagnostic {
	d := diag.Diagnostic{
		Summary: fmt.Sprintf("%s is declared twice", second.Ref),
		Detail: fmt.Sprintf("It is declared first at %s:%d. That one is applied, this one is not: remove one of the two.",
			first.File, first.Line),
		Subject: &diag.Range{File: second.File, Start: diag.Pos{Line: second.Line}, End: diag.Pos{Line: second.Line}},
	}
	if string(first.JSON) == string(second.JSON) {
		d.Severity = diag.Warning
		d.Detail = fmt.Sprintf("It is declared first at %s:%d, with the same content: one of the two can go.", first.File, first.Line)
	}
	return d
}
