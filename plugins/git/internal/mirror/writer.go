package mirror

import (
	"fmt"
	"slices"
	"sort"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// writer makes objects on top of those of a mirror. They are in memory until
// flush: an attempt that comes to nothing leaves nothing behind.
type writer struct {
	store store
	fresh map[plumbing.Hash]plumbing.EncodedObject
	order []plumbing.EncodedObject
	held  map[plumbing.Hash]bool // are in the mirror for certain
}

func newWriter(st store) *writer {
	return &writer{store: st, fresh: map[plumbing.Hash]plumbing.EncodedObject{}}
}

// put adds an object.
func (w *writer) put(encode func(plumbing.EncodedObject) error) (plumbing.Hash, error) {
	o := &plumbing.MemoryObject{}
	if err := encode(o); err != nil {
		return plumbing.ZeroHash, err
	}
	h := o.Hash()
	if w.fresh[h] == nil {
		w.fresh[h] = o
		w.order = append(w.order, o)
	}
	return h, nil
}

func (w *writer) blob(content []byte) (plumbing.Hash, error) {
	return w.put(func(o plumbing.EncodedObject) error {
		o.SetType(plumbing.BlobObject)
		out, err := o.Writer()
		if err != nil {
			return err
		}
		if _, err = out.Write(content); err != nil {
			return err
		}
		return out.Close()
	})
}

// tree adds a tree of entries in any order, which it sorts. An empty one is the
// zero hash: git keeps no empty directories.
func (w *writer) tree(entries []object.TreeEntry) (plumbing.Hash, error) {
	if len(entries) == 0 {
		return plumbing.ZeroHash, nil
	}
	sort.Sort(object.TreeEntrySorter(entries))
	t := &object.Tree{Entries: entries}
	return w.put(t.Encode)
}

// root is like tree, for the tree of a commit, which may be empty.
func (w *writer) root(hash plumbing.Hash) (plumbing.Hash, error) {
	if !hash.IsZero() {
		return hash, nil
	}
	return w.put((&object.Tree{}).Encode)
}

// entries reads a tree. The zero hash is the empty one.
func (w *writer) entries(hash plumbing.Hash) ([]object.TreeEntry, error) {
	if hash.IsZero() {
		return nil, nil
	}
	if o := w.fresh[hash]; o != nil {
		t := &object.Tree{}
		err := t.Decode(o)
		return t.Entries, err
	}
	t, err := object.GetTree(w.store, hash)
	if err != nil {
		return nil, fmt.Errorf("%w: tree %s: %w", ErrDamaged, hash, err)
	}
	return t.Entries, nil
}

// treeOf returns the tree of a commit; the zero hash has none.
func (w *writer) treeOf(commit plumbing.Hash) (plumbing.Hash, error) {
	if commit.IsZero() {
		return plumbing.ZeroHash, nil
	}
	if o := w.fresh[commit]; o != nil {
		c := &object.Commit{}
		err := c.Decode(o)
		return c.TreeHash, err
	}
	c, err := object.GetCommit(w.store, commit)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("%w: commit %s: %w", ErrDamaged, commit, err)
	}
	return c.TreeHash, nil
}

// lookup returns the entry at the names of a path below a tree, or nil.
func (w *writer) lookup(tree plumbing.Hash, names []string) (*object.TreeEntry, error) {
	entries, err := w.entries(tree)
	if err != nil {
		return nil, err
	}
	e := find(entries, names[0])
	if e == nil || len(names) == 1 {
		return e, nil
	}
	if e.Mode != filemode.Dir {
		return nil, nil
	}
	return w.lookup(e.Hash, names[1:])
}

func find(entries []object.TreeEntry, name string) *object.TreeEntry {
	i := slices.IndexFunc(entries, func(e object.TreeEntry) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return &entries[i]
}

// listed makes entries of what stands at each name, nil being nothing.
func listed(byName map[string]*object.TreeEntry) []object.TreeEntry {
	entries := make([]object.TreeEntry, 0, len(byName))
	for name, e := range byName {
		if e != nil {
			entries = append(entries, object.TreeEntry{Name: name, Mode: e.Mode, Hash: e.Hash})
		}
	}
	return entries
}

// flush writes the objects into the mirror and returns them. The caller holds
// the use lock.
func (w *writer) flush() ([]plumbing.EncodedObject, error) {
	for _, o := range w.order {
		if h := o.Hash(); w.held[h] || w.store.HasEncodedObject(h) == nil {
			continue
		}
		if _, err := w.store.SetEncodedObject(o); err != nil {
			return nil, fmt.Errorf("write object %s: %w", o.Hash(), err)
		}
	}
	return w.order, nil
}
