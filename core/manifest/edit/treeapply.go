package edit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/internal/files"
)

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
	case e.Add:
		return nil, fmt.Errorf("%s: an entry is added to one file, and not to a tree", e.subject())
	case e.Marker != "":
		list = t.markers[markerKey{e.Marker, e.Flux}]
	case e.Kustomize != "":
		list = t.filesWith(e, Edit.isAbout)
		if len(list) == 0 {
			list = t.filesWith(e, Edit.names) // where it turns out why not
		}
	default:
		at := t.workloads[canonicalID(e.Workload, t.options)]
		if t.options.Values != "" {
			return t.fileOfValues(e)
		}
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

// fileOfValues returns the file of values that has the image of an edit. What a
// stronger one has a part of would change to no effect, or to half of it.
func (t *Tree) fileOfValues(e Edit) ([]string, error) {
	for _, w := range slices.Backward(t.found.Workloads) {
		line, says := w.Sets[e.Container]
		switch {
		case w.ID != canonicalID(e.Workload, t.options) || !says && e.Container != "":
		case e.Container == "" || w.has(e.Container):
			return []string{w.File}, nil
		default:
			return nil, &RefusedError{File: w.File, Line: line, Reason: fmt.Sprintf("a part of the image of %s stands here, and not all of it: put them together, or mark each part", e.Container)}
		}
	}
	return nil, fmt.Errorf("%s of %s: %w", e.Container, e.Workload, ErrNotFound)
}

func (w Workload) has(container string) bool {
	return slices.ContainsFunc(w.Containers, func(c Container) bool { return c.Name == container })
}

// filesWith returns the files of the entries that are related to an edit.
func (t *Tree) filesWith(e Edit, related func(Edit, KustomizeImage) bool) (list []string) {
	for _, k := range t.found.Kustomize {
		if (e.File == "" || k.File == e.File) && related(e, k) && !slices.Contains(list, k.File) {
			list = append(list, k.File)
		}
	}
	return list
}

// once makes all edits that have no error. again says that an edit that is
// about several files has failed in one and must be left out in the others.
func (r *treeRun) once(ctx context.Context, w *files.Walker) (changes []FileChange, again bool) {
	names := slices.Sorted(maps.Keys(r.files))
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
	failed := map[int]bool{}
	for i, o := range outcomes {
		for n, err := range o.errs {
			if at := o.edits[n]; err != nil && !failed[at] {
				failed[at], r.errs[at] = true, inFile(names[i], err)
			}
		}
	}
	for i, o := range outcomes {
		again = again || slices.ContainsFunc(o.changed, func(n int) bool { return failed[n] })
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
		return "image " + strings.TrimSpace(e.Kustomize) + " of " + cmp.Or(e.File, "a kustomization")
	}
	return e.Workload
}
