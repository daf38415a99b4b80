package writeback

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// plan is what a batch comes to on one tree.
type plan struct {
	items []*item
	files map[string]*file
}

// item is a change of a plan.
type item struct {
	*entry
	state   itemState
	errs    []error
	refused []bool     // by edit: it was not admitted, and errs says why
	files   []string   // that it changes
	edits   [][]string // the files by edit
}

// itemState says whether an item is part of the commit.
type itemState int

const (
	planned itemState = iota
	putOff            // it touches what another change touches: it goes into the next commit
	later             // its edits could not be tried now
)

// file is a file that changes.
type file struct{ old, new []byte }

// plan lets the editor make the edits of batch, sync by sync.
func (q *Queue) plan(ctx context.Context, t Tree, batch []*entry) *plan {
	p := &plan{files: map[string]*file{}}
	for _, e := range batch {
		n := len(e.change.Edits)
		p.items = append(p.items, &item{entry: e, errs: make([]error, n), refused: make([]bool, n), edits: make([][]string, n)})
	}
	separate(p.items)
	groups := map[string][]*item{}
	var syncs []string // in the order of their first change
	for _, i := range p.items {
		if i.state != planned {
			continue
		}
		if groups[i.change.Sync] == nil {
			syncs = append(syncs, i.change.Sync)
		}
		groups[i.change.Sync] = append(groups[i.change.Sync], i)
	}
	for _, sync := range syncs {
		q.planSync(ctx, t, p, groups[sync])
	}
	return p
}

// planSync lets the editor make the edits of the items of one sync. The result
// holds all edits or none, so it is made again without those that have to wait
// and those that are not admitted.
func (q *Queue) planSync(ctx context.Context, t Tree, p *plan, group []*item) {
	for {
		if group = ready(group); len(group) == 0 {
			return
		}
		asked := places(group)
		edits := make([]edit.Edit, len(asked))
		for n, at := range asked {
			edits[n] = at.edit()
		}
		files, errs := q.o.Edit(ctx, group[0].change.Sync, t, edits)
		for n, at := range asked {
			at.errs[at.n] = nil
			if n < len(errs) {
				at.errs[at.n] = errs[n]
			}
		}
		if len(ready(group)) < len(group) || !q.admit(ctx, t, asked, files) {
			continue
		}
		if fit := p.fitting(group, asked, files); fit > 0 && fit < len(group) {
			postpone(group[fit:])
			group = group[:fit]
			continue
		} else if fit == 0 && len(p.files) > 0 {
			postpone(group)
			return
		}
		if p.bytes()+sizeOf(files) > maxBytes && len(group) == 1 {
			group[0].refuse(files)
			return
		}
		p.take(group, asked, files)
		return
	}
}

// ready returns the items of group none of whose edits has to wait; those of the
// others come later.
func ready(group []*item) []*item {
	var now []*item
	for _, i := range group {
		if slices.ContainsFunc(i.errs, passing) {
			i.state = later
		} else {
			now = append(now, i)
		}
	}
	return now
}

// place is an edit of an item.
type place struct {
	*item
	n int
}

func (at place) edit() edit.Edit { return at.change.Edits[at.n] }

// places are the edits of a group that have not been refused.
func places(group []*item) []place {
	var all []place
	for _, i := range group {
		for n := range i.change.Edits {
			if !i.refused[n] {
				all = append(all, place{i, n})
			}
		}
	}
	return all
}

// admit asks of the edits that change files whether they are still wanted. It
// reports whether all are; the others have their errors.
func (q *Queue) admit(ctx context.Context, t Tree, asked []place, files []edit.FileChange) bool {
	if len(files) == 0 {
		return true
	}
	changing := map[int]bool{}
	for _, f := range files {
		for _, n := range editsOf(f, len(asked)) {
			changing[n] = true
		}
	}
	judge, all := q.o.Admit(ctx, asked[0].change.Sync, t), true
	for n, at := range asked {
		if !changing[n] || at.errs[at.n] != nil {
			continue
		}
		if err := judge(at.change, at.edit()); err != nil {
			at.errs[at.n], at.refused[at.n], all = err, true, false
		}
	}
	return all
}

// separate puts off what touches the same place as an earlier item in another
// way, so that each commit has one answer for each place and the last one
// counts.
func separate(items []*item) {
	type claim struct {
		by    *item
		value string
	}
	claims := map[string]claim{}
	for _, i := range items {
		targets := targets(i.change)
		for place, value := range targets {
			if c, taken := claims[place]; taken && (c.value != value || c.by.state == putOff) {
				i.state = putOff
			}
		}
		for place, value := range targets {
			if _, taken := claims[place]; !taken || i.state == putOff {
				claims[place] = claim{i, value}
			}
		}
	}
}

// targets are the places that the edits of c touch, each with what it will be.
func targets(c Change) map[string]string {
	places := map[string]string{}
	for _, e := range c.Edits {
		at := strings.Join([]string{c.Sync, e.Workload, e.Container, e.Marker, fmt.Sprint(e.Flux), e.Kustomize, e.File, fmt.Sprint(e.Nth)}, "\x00")
		if e.Image != "" {
			places[at] = e.Image
		}
		for key, value := range e.Set {
			places[at+"\x00"+key] = "=" + value
		}
		for _, key := range e.Remove {
			places[at+"\x00"+key] = ""
		}
	}
	return places
}

// take adds what the editor made of the edits of a group. Where it wants
// another content for a file than the group of another sync, the whole group
// is put off.
func (p *plan) take(group []*item, asked []place, files []edit.FileChange) {
	if p.differs(files) {
		for _, i := range group {
			i.state = putOff
		}
		return
	}
	for _, f := range files {
		for _, n := range editsOf(f, len(asked)) {
			if at := asked[n]; at.changes(at.n, f.Path) {
				p.files[f.Path] = &file{old: f.Old, new: f.New}
			}
		}
	}
}

// changes notes that the n-th edit of i changes the file at path, unless that
// edit failed.
func (i *item) changes(n int, path string) bool {
	if i.errs[n] != nil {
		return false
	}
	i.edits[n] = append(i.edits[n], path)
	if !slices.Contains(i.files, path) {
		i.files = append(i.files, path)
	}
	return true
}

// editsOf returns the indices of the edits that changed f: all of them if
// nobody knows.
func editsOf(f edit.FileChange, all int) []int {
	if len(f.Edits) > 0 {
		return f.Edits
	}
	indices := make([]int, all)
	for n := range indices {
		indices[n] = n
	}
	return indices
}

// passing reports whether an edit that failed may succeed without a new tree.
func passing(err error) bool {
	if err == nil {
		return false
	}
	_, ok := sdk.RetryDelay(err)
	return ok
}

func (p *plan) differs(files []edit.FileChange) bool {
	return slices.ContainsFunc(files, func(f edit.FileChange) bool {
		have := p.files[f.Path]
		return have != nil && (!bytes.Equal(have.new, f.New) || (have.new == nil) != (f.New == nil))
	})
}

// writers are the entries that the commit is for.
func (p *plan) writers() []*entry {
	var entries []*entry
	for _, i := range p.items {
		if i.state == planned && len(i.files) > 0 {
			entries = append(entries, i.entry)
		}
	}
	return entries
}

// doubtful reports whether a change would end without being written, or not as
// a whole.
func (p *plan) doubtful() bool {
	return slices.ContainsFunc(p.items, func(i *item) bool {
		return i.state == planned && (len(i.files) == 0 || i.failed() > 0)
	})
}

// edits returns the file changes as a source takes them, sorted by path.
func (p *plan) edits() []source.Edit {
	var edits []source.Edit
	for _, path := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[path]
		edits = append(edits, source.Edit{Path: path, Old: f.old, New: f.new})
	}
	return edits
}

// errors returns the texts of i's errors by edit, nil if there are none.
func (i *item) errors() []string {
	if i.failed() == 0 {
		return nil
	}
	texts := make([]string, len(i.errs))
	for n, err := range i.errs {
		if err != nil {
			texts[n] = err.Error()
		}
	}
	return texts
}

func (i *item) failed() int {
	failed := 0
	for _, err := range i.errs {
		if err != nil {
			failed++
		}
	}
	return failed
}

// withdrawn returns the indices of the edits that were not admitted.
func (i *item) withdrawn() []int {
	var list []int
	for n, refused := range i.refused {
		if refused {
			list = append(list, n)
		}
	}
	return list
}

// summary says why nothing of i was written.
func (i *item) summary() string {
	if len(i.errs) == 1 {
		return i.errs[0].Error()
	}
	return fmt.Sprintf("none of %d edits can be made: %v, ...", len(i.errs), i.errs[0])
}

// touches reports whether i changes one of paths.
func (i *item) touches(paths []string) bool {
	return slices.ContainsFunc(i.files, func(f string) bool { return slices.Contains(paths, f) })
}
