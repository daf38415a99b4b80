package edit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sluice-gitops/sluice/core/manifest/internal/files"
	"github.com/sluice-gitops/sluice/core/manifest/internal/lru"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// maxFileSize is the size from which on a file is refused, as it is by
// manifest.Load.
const maxFileSize = 10 << 20

// TreeOptions says what Open reads.
type TreeOptions struct {
	Options
	Paths []string // files and directories, relative to the root, with slashes; empty is the root
	Cache *Cache   // nil remembers nothing
	// Tree identifies the content of the root, for example by a digest. With it
	// the Cache remembers the whole, and Open of a tree that it knows reads no
	// file.
	Tree string
}

// Cache remembers what files and trees held. It is safe for concurrent use.
type Cache struct{ lru *lru.Cache }

// NewCache returns a cache of about maxBytes.
func NewCache(maxBytes int64) *Cache { return &Cache{lru: lru.New(maxBytes)} }

func (c *Cache) get(key lru.Key) (any, bool) {
	if c == nil {
		return nil, false
	}
	return c.lru.Get(key)
}

func (c *Cache) put(key lru.Key, value any, size int64) {
	if c != nil {
		c.lru.Put(key, value, size)
	}
}

// Tree is the manifests below a directory, found as manifest.Load finds them.
// It is safe for concurrent use; the directory must stay as it is.
type Tree struct {
	root     string
	options  Options
	relevant screen
	*listing

	reads, parses atomic.Int64 // files and documents that Open and Apply had to read and parse
}

// listing is what a tree holds, and where.
type listing struct {
	found      Found
	workloads  map[string][]site
	markers    map[markerKey][]string // files
	kustomized []string               // files with images of a kustomization
}

// site is where a workload is declared.
type site struct {
	file string
	line int
}

type markerKey struct {
	policy string
	flux   bool
}

// Open reads the manifests of the directory root. What is wrong with files is
// among the problems of Found; the error says that the root cannot be read, or
// that ctx has ended.
func Open(ctx context.Context, root string, o TreeOptions) (*Tree, error) {
	t := &Tree{root: root, options: o.Options, relevant: newScreen(o.Options)}
	if len(o.Paths) == 0 {
		o.Paths = []string{"."}
	}
	key := o.key()
	if l, ok := o.Cache.get(key); ok && o.Tree != "" {
		t.listing = l.(*listing)
		return t, nil
	}
	w, err := files.New(root)
	if err != nil {
		return nil, fmt.Errorf("read manifests to edit: %w", err)
	}
	defer w.Close()
	for _, p := range o.Paths {
		w.Path(ctx, p)
	}
	held := make([]*scanned, len(w.Files))
	if err := files.Each(ctx, len(held), func(i int) { held[i] = t.read(w, w.Files[i], o) }); err != nil {
		return nil, fmt.Errorf("read manifests to edit: %w", err)
	}
	t.listing = list(w, held)
	if o.Tree != "" && !w.Unread.Load() {
		o.Cache.put(key, t.listing, t.found.size())
	}
	return t, nil
}

// key identifies what Open reads.
func (o TreeOptions) key() lru.Key {
	return sha256.Sum256(fmt.Appendf(nil, "tree %q %q %s", o.Tree, o.Paths, o.fingerprint()))
}

// fingerprint identifies the options. fmt prints maps in the order of keys.
func (o Options) fingerprint() string {
	return fmt.Sprintf("%q %q", o.Namespace, fmt.Sprintf("%#v", o.Kinds))
}

// read returns what a file holds.
func (t *Tree) read(w *files.Walker, file string, o TreeOptions) *scanned {
	data, err := w.Read(file, maxFileSize)
	t.reads.Add(1)
	if err != nil {
		w.Unread.Store(true)
		s := &scanned{}
		s.problem(0, "cannot be read: "+readError(err), "")
		return s
	}
	h := sha256.New()
	h.Write(data)
	h.Write([]byte("\x00" + o.fingerprint()))
	key := lru.Key(h.Sum(nil))
	if s, ok := o.Cache.get(key); ok {
		return s.(*scanned)
	}
	s := scan(data, o.Options, t.relevant)
	t.parses.Add(int64(s.parsed))
	o.Cache.put(key, &s, s.found.size())
	return &s
}

func readError(err error) string {
	if errors.Is(err, files.ErrTooLarge) {
		return fmt.Sprintf("the file has more than %d MiB", maxFileSize>>20)
	}
	return files.Cause(err).Error()
}

// list joins what the files of a walk hold.
func list(w *files.Walker, held []*scanned) *listing {
	l := &listing{workloads: map[string][]site{}, markers: map[markerKey][]string{}}
	l.found.Problems = slices.Clone(w.Problems)
	for i, s := range held {
		l.add(w.Files[i], s.found)
	}
	for _, w := range l.found.Workloads {
		if at := l.workloads[w.ID]; len(at) > 1 && at[1] == (site{w.File, w.Line}) {
			l.found.Problems = append(l.found.Problems, diag.Diagnostic{
				Summary: w.ID + " is declared twice",
				Detail:  fmt.Sprintf("It is declared first at %s:%d. Its images are not updated: remove one of the two.", at[0].file, at[0].line),
				Subject: &diag.Range{File: w.File, Start: diag.Pos{Line: w.Line}, End: diag.Pos{Line: w.Line}}})
		}
	}
	return l
}

// add joins what one file holds.
func (l *listing) add(file string, f Found) {
	for _, w := range f.Workloads {
		w.File = file
		l.found.Workloads = append(l.found.Workloads, w)
		l.workloads[w.ID] = append(l.workloads[w.ID], site{file, w.Line})
	}
	for _, m := range f.Markers {
		m.File = file
		l.found.Markers = append(l.found.Markers, m)
		if key := (markerKey{m.Policy, m.Flux}); !slices.Contains(l.markers[key], file) {
			l.markers[key] = append(l.markers[key], file)
		}
	}
	for _, k := range f.Kustomize {
		k.File = file
		l.found.Kustomize = append(l.found.Kustomize, k)
		if !slices.Contains(l.kustomized, file) {
			l.kustomized = append(l.kustomized, file)
		}
	}
	for _, d := range f.Problems {
		at := *d.Subject
		at.File = file
		d.Subject = &at
		l.found.Problems = append(l.found.Problems, d)
	}
}

// size returns about how many bytes f takes in a cache.
func (f Found) size() int64 {
	size := int64(512 + 256*(len(f.Markers)+len(f.Kustomize)+len(f.Problems)))
	for _, w := range f.Workloads {
		size += int64(512 + 256*len(w.Containers) + 2*len(w.ID))
		for k, v := range w.Annotations {
			size += int64(64 + len(k) + len(v))
		}
	}
	return size
}

// Found tells what the files hold, in the order of the files and lines. A
// workload that is declared twice is a problem.
func (t *Tree) Found() Found { return t.found }

// FileChange is a file that edits change.
type FileChange struct {
	Path     string // relative to the root, with slashes
	Old, New []byte
	Edits    []int // indexes of the edits that change it
}

// Apply makes edits and returns the files that they change, sorted by path.
// errs[i] belongs to edits[i]; an edit that fails, in any of the files that it
// is about, is made in none, and leaves the others. No file is written. Each
// file that an edit is about is read once, others are not read.
func (t *Tree) Apply(ctx context.Context, edits []Edit) (changes []FileChange, errs []error) {
	r := &treeRun{tree: t, edits: edits, errs: make([]error, len(edits)), old: map[string][]byte{}}
	w, err := files.New(t.root)
	if err != nil {
		for i := range r.errs {
			r.errs[i] = fmt.Errorf("read manifests to edit: %w", err)
		}
		return nil, r.errs
	}
	defer w.Close()
	r.locate()
	for {
		changes, again := r.once(ctx, w)
		if !again {
			return changes, r.errs
		}
	}
}

// treeRun is one Apply of a Tree.
type treeRun struct {
	tree  *Tree
	edits []Edit
	errs  []error
	files map[string][]int // edits by file
	old   map[string][]byte
}

// locate finds the files that each edit is about.
func (r *treeRun) locate() {
	r.files = map[string][]int{}
	for i, e := range r.edits {
		if _, r.errs[i] = e.check(); r.errs[i] != nil {
			continue
		}
		list, err := r.tree.filesOf(e)
		if err != nil {
			r.errs[i] = err
			continue
		}
		for _, file := range list {
			r.files[file] = append(r.files[file], i)
		}
	}
}

// filesOf returns the files that an edit is about.
func (t *Tree) filesOf(e Edit) (list []string, err error) {
	switch {
	case e.Marker != "":
		list = t.markers[markerKey{e.Marker, e.Flux}]
	case e.Kustomize != "":
		for _, k := range t.found.Kustomize {
			if k.isCalled(e.Kustomize) && !slices.Contains(list, k.File) {
				list = append(list, k.File)
			}
		}
	default:
		at := t.workloads[canonicalID(e.Workload, t.options)]
		if len(at) > 1 {
			return nil, &RefusedError{File: at[1].file, Line: at[1].line,
				Reason: fmt.Sprintf("%s is declared twice, first at %s:%d", e.Workload, at[0].file, at[0].line)}
		}
		for _, s := range at {
			list = append(list, s.file)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: %w", e.subject(), ErrNotFound)
	}
	return list, nil
}

// once makes all edits that have no error. again says that an edit that is
// about several files has failed in one and must be left out in the others.
func (r *treeRun) once(ctx context.Context, w *files.Walker) (changes []FileChange, again bool) {
	names := make([]string, 0, len(r.files))
	for name := range r.files {
		names = append(names, name)
	}
	slices.Sort(names)
	outcomes := make([]outcome, len(names))
	err := r.read(ctx, w, names)
	if err == nil {
		err = files.Each(ctx, len(names), func(i int) { outcomes[i] = r.file(names[i]) })
	}
	if err != nil {
		for i := range r.errs {
			r.errs[i] = errors.Join(r.errs[i], err)
		}
		return nil, false
	}
	failed := map[int]error{}
	for i, o := range outcomes {
		for n, err := range o.errs {
			if err != nil && failed[o.edits[n]] == nil {
				failed[o.edits[n]] = inFile(names[i], err)
			}
		}
	}
	for i, err := range failed {
		r.errs[i] = err
	}
	for i, o := range outcomes {
		for _, n := range o.changed {
			again = again || failed[n] != nil
		}
		if len(o.changed) > 0 {
			changes = append(changes, FileChange{Path: names[i], Old: r.old[names[i]], New: o.result, Edits: o.changed})
		}
	}
	return changes, again
}

// outcome is what became of the edits of one file.
type outcome struct {
	result  []byte
	edits   []int
	errs    []error // by edits
	changed []int   // of edits
}

// read reads the files that were not read yet.
func (r *treeRun) read(ctx context.Context, w *files.Walker, names []string) error {
	type content struct {
		data []byte
		err  error
	}
	contents := make([]content, len(names))
	err := files.Each(ctx, len(names), func(i int) {
		if _, done := r.old[names[i]]; !done {
			r.tree.reads.Add(1)
			contents[i].data, contents[i].err = w.Read(names[i], maxFileSize)
		}
	})
	if err != nil {
		return err
	}
	for i, c := range contents {
		switch {
		case c.err != nil:
			for _, n := range r.files[names[i]] {
				r.errs[n] = fmt.Errorf("%s: cannot be read: %s", names[i], readError(c.err))
			}
		case c.data != nil:
			r.old[names[i]] = c.data
		}
	}
	return nil
}

// file makes the edits of one file.
func (r *treeRun) file(name string) (o outcome) {
	var edits []Edit
	for _, i := range r.files[name] {
		if r.errs[i] == nil {
			o.edits = append(o.edits, i)
			edits = append(edits, r.edits[i])
		}
	}
	if len(edits) == 0 {
		return o
	}
	a := newApplication(r.old[name], r.tree.options, edits)
	a.run()
	r.tree.parses.Add(int64(a.parsed))
	o.result, o.errs = a.result, a.errs
	for n, changed := range a.changed {
		if changed {
			o.changed = append(o.changed, o.edits[n])
		}
	}
	return o
}

// subject says what the edit is about.
func (e Edit) subject() string {
	switch {
	case e.Marker != "":
		return "marker " + e.Marker
	case e.Kustomize != "":
		return "image " + strings.TrimSpace(e.Kustomize) + " of a kustomization"
	}
	return e.Workload
}
