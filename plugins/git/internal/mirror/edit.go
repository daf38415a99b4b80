package mirror

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// Conflict is an edit that cannot be made.
type Conflict struct {
	Path   string
	Reason string // "" if the content is neither the old nor the new one
}

// dir is the edits below one directory, by name.
type dir map[string]*item

// item is what is to be done with one name: an edit of the file, edits below
// the directory, or, where a directory takes a file's place, both.
type item struct {
	edit  *source.Edit
	below dir
}

// gather sorts edits into directories. It refuses edits that no tree could
// take: of paths that leave the tree or lead into .git, of one file twice.
func gather(edits []source.Edit) (dir, error) {
	root := dir{}
	for _, e := range edits {
		at, names := root, strings.Split(e.Path, "/")
		for i, name := range names {
			if unsafeName(name) {
				return nil, fmt.Errorf("%q is not the path of a file in a repository", e.Path)
			}
			it := at[name]
			if it == nil {
				it = &item{}
				at[name] = it
			}
			if i == len(names)-1 {
				if it.edit != nil {
					return nil, fmt.Errorf("%q is edited twice", e.Path)
				}
				it.edit = &e
				break
			}
			if it.below == nil {
				it.below = dir{}
			}
			at = it.below
		}
	}
	return root, root.check("")
}

// check refuses a file with files below it.
func (d dir) check(at string) error {
	for name, it := range d {
		if it.edit != nil && it.edit.New != nil && it.below != nil {
			return fmt.Errorf("%q would be a file and a directory", at+name)
		}
		if err := it.below.check(at + name + "/"); err != nil {
			return err
		}
	}
	return nil
}

// editor makes edits in trees. It reads and writes the trees that lead to
// the files, and no other file.
type editor struct {
	w         *writer
	made      int // edits that changed something
	conflicts []Conflict
}

// tree makes the edits of d in a tree and returns what becomes of it, the
// zero hash if nothing is left.
func (ed *editor) tree(hash plumbing.Hash, d dir, at string) (plumbing.Hash, error) {
	entries, err := ed.w.entries(hash)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	before, after := ed.made, make(map[string]*object.TreeEntry, len(entries))
	for i := range entries {
		after[entries[i].Name] = &entries[i]
	}
	for _, name := range slices.Sorted(maps.Keys(d)) {
		if after[name], err = ed.item(after[name], d[name], at+name); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	if ed.made == before {
		return hash, nil
	}
	return ed.w.tree(listed(after))
}

// item returns what stands in the place of have, nil being nothing.
func (ed *editor) item(have *object.TreeEntry, it *item, at string) (*object.TreeEntry, error) {
	var err error
	if it.edit != nil {
		if have, err = ed.file(have, *it.edit); err != nil {
			return nil, err
		}
	}
	if it.below == nil {
		return have, nil
	}
	var hash plumbing.Hash
	switch {
	case have == nil:
	case have.Mode != filemode.Dir:
		ed.blocked(it.below, at+"/", at+" is "+kindOf(have))
		return have, nil
	default:
		hash = have.Hash
	}
	if hash, err = ed.tree(hash, it.below, at+"/"); err != nil || hash.IsZero() {
		return nil, err
	}
	return &object.TreeEntry{Mode: filemode.Dir, Hash: hash}, nil
}

func (ed *editor) file(have *object.TreeEntry, e source.Edit) (*object.TreeEntry, error) {
	if have != nil && !have.Mode.IsFile() || have != nil && have.Mode == filemode.Symlink {
		ed.conflicts = append(ed.conflicts, Conflict{e.Path, "it is " + kindOf(have) + ", through which nothing is written"})
		return have, nil
	}
	if holds(have, e.New) {
		return have, nil
	}
	if !holds(have, e.Old) {
		ed.conflicts = append(ed.conflicts, Conflict{Path: e.Path})
		return have, nil
	}
	ed.made++
	if e.New == nil {
		return nil, nil
	}
	hash, err := ed.w.blob(e.New)
	if err != nil {
		return nil, err
	}
	mode := filemode.Regular
	if have != nil {
		mode = have.Mode
	}
	return &object.TreeEntry{Mode: mode, Hash: hash}, nil
}

// blocked makes conflicts of all edits below a path that is no directory.
// Deletions of what cannot exist there are done already.
func (ed *editor) blocked(d dir, at, reason string) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		it := d[name]
		if it.edit != nil && it.edit.New != nil {
			ed.conflicts = append(ed.conflicts, Conflict{it.edit.Path, reason})
		}
		ed.blocked(it.below, at+name+"/", reason)
	}
}

// holds reports whether an entry has this content, nil being no file.
func holds(e *object.TreeEntry, content []byte) bool {
	if e == nil || content == nil {
		return e == nil && content == nil
	}
	return e.Hash == plumbing.ComputeHash(plumbing.BlobObject, content)
}

func kindOf(e *object.TreeEntry) string {
	switch e.Mode {
	case filemode.Dir:
		return "a directory"
	case filemode.Symlink:
		return "a symbolic link"
	case filemode.Submodule:
		return "a submodule"
	}
	return "a file"
}
