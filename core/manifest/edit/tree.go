package edit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
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
	t := &Tree{root: root, options: o.Options}
	if len(o.Paths) == 0 {
		o.Paths = []string{"."}
	}
	key := o.key()
	if l, ok := o.Cache.get(key); ok && o.Tree != "" {
		t.listing = l.(*listing)
		return t, nil
	}
	t.relevant = newScreen(o.Options)
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
	t.listing = list(w, held, o.Values != "")
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
	return fmt.Sprintf("%q %q %q", o.Namespace, fmt.Sprintf("%#v", o.Kinds), o.Values)
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

// list joins what the files of a walk hold. Several files of values are those
// of one release.
func list(w *files.Walker, held []*scanned, values bool) *listing {
	l := &listing{workloads: map[string][]site{}, markers: map[markerKey][]string{}}
	l.found.Problems = slices.Clone(w.Problems)
	for i, s := range held {
		l.add(w.Files[i], s.found)
	}
	for _, w := range l.found.Workloads {
		if at := l.workloads[w.ID]; len(at) > 1 && !values && at[1] == (site{w.File, w.Line}) {
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
