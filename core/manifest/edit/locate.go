package edit

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// index is where the objects of a file are, by ID.
type index map[string][]place

type place struct {
	part *part
	line int
}

// locate finds the parts that each edit is about.
func (a *application) locate() {
	for _, p := range a.parts {
		if a.mayBeAbout(p.chunk.Text) {
			a.parse(p)
		}
	}
	ids := a.index()
	if a.missing(ids) {
		for _, p := range a.parts {
			a.parse(p)
		}
		ids = a.index()
	}
	for i, e := range a.edits {
		if a.errs[i] == nil {
			a.errs[i] = a.assign(i, e, ids)
		}
	}
}

// manyEdits is from how many edits on each document is parsed: looking for the
// words of each edit would not be worth while.
const manyEdits = 5

// mayBeAbout tells by a quick look whether one of the edits is about a document.
// It may err for names that are written with escapes.
func (a *application) mayBeAbout(text []byte) bool {
	if len(a.edits) >= manyEdits {
		return true
	}
	return slices.ContainsFunc(a.edits, func(e Edit) bool {
		switch {
		case e.Marker != "":
			return mayHaveMarkers(text)
		case e.Add:
			return true
		case e.Kustomize != "":
			return bytes.Contains(text, []byte("images"))
		}
		_, rest, _ := strings.Cut(canonicalID(e.Workload, a.options), ":")
		kind, name, _ := strings.Cut(rest, "/")
		return bytes.Contains(text, []byte(name)) && bytes.Contains(bytes.ToLower(text), []byte(kind))
	})
}

func (a *application) index() index {
	ids := index{}
	for _, p := range a.parts {
		if p.doc == nil {
			continue
		}
		for _, o := range p.doc.objects {
			ids[o.id] = append(ids[o.id], place{p, o.line})
		}
	}
	return ids
}

func (a *application) missing(ids index) bool {
	for i, e := range a.edits {
		if a.errs[i] == nil && e.Workload != "" && len(ids[canonicalID(e.Workload, a.options)]) == 0 {
			return true
		}
	}
	return false
}

// assign gives an edit to the parts that it is about.
func (a *application) assign(i int, e Edit, ids index) error {
	var parts []*part
	if e.Workload != "" {
		at := ids[canonicalID(e.Workload, a.options)]
		if len(at) > 1 {
			return &RefusedError{Line: at[1].line, Reason: fmt.Sprintf("%s is there twice, first in line %d", e.Workload, at[0].line)}
		}
		for _, p := range at {
			parts = append(parts, p.part)
		}
	} else if e.Kustomize != "" && !e.Add {
		var err error
		if parts, err = a.withEntries(i, e); err != nil {
			return err
		}
	} else {
		for _, p := range a.parts {
			if p.doc != nil && p.doc.has(e) {
				parts = append(parts, p)
			}
		}
	}
	if len(parts) == 0 {
		return a.notFound(e)
	}
	if e.Add && len(parts) > 1 {
		return &RefusedError{Line: parts[1].chunk.Line, Reason: "the file holds more than one kustomization"}
	}
	for _, p := range parts {
		if p.err != nil {
			return p.syntaxError()
		}
		p.edits = append(p.edits, i)
	}
	return nil
}

// withEntries returns the parts with the entries of kustomizations that an edit
// is about. The error says that those of its name are of other images.
func (a *application) withEntries(i int, e Edit) (parts []*part, err error) {
	var before []KustomizeImage
	for _, p := range a.parts {
		if p.doc == nil {
			continue
		}
		_, here := p.doc.kustomized()
		all := append(slices.Clip(before), here...)
		number(all)
		if slices.ContainsFunc(all[len(before):], e.isAbout) {
			parts = append(parts, p)
			a.nth[i] = max(e.Nth-countNamed(before, e.Kustomize), 0)
		}
		before = all
	}
	if len(parts) == 0 && slices.ContainsFunc(before, e.names) {
		return nil, e.otherThan(before)
	}
	return parts, nil
}

func countNamed(entries []KustomizeImage, name string) (n int) {
	for _, k := range entries {
		if k.Name == name {
			n++
		}
	}
	return n
}

// notFound tells what is not there, and where it could be if that could be read.
func (a *application) notFound(e Edit) error {
	for _, p := range a.parts {
		if p.err != nil {
			return fmt.Errorf("%s: %w; a document could not be read: %s", e.subject(), ErrNotFound, p.syntaxError().Error())
		}
	}
	return fmt.Errorf("%s: %w%s", e.subject(), ErrNotFound, a.others(e))
}

// others tells which namespaces have a workload of this kind and name.
func (a *application) others(e Edit) string {
	_, rest, _ := strings.Cut(canonicalID(e.Workload, a.options), ":")
	var there []string
	for id := range maps.Keys(a.index()) {
		if _, r, _ := strings.Cut(id, ":"); e.Workload != "" && r == rest {
			there = append(there, id)
		}
	}
	if len(there) == 0 {
		return ""
	}
	slices.Sort(there)
	return "; there is " + strings.Join(there, ", ")
}

// has reports whether the document has what an edit of markers is about, or
// takes an entry that is added.
func (d *doc) has(e Edit) bool {
	if e.Add {
		return len(d.kustomizations()) > 0
	}
	return slices.ContainsFunc(d.markers().list, func(m marker) bool { return m.Policy == e.Marker && m.Flux == e.Flux })
}

// syntaxError returns why the part cannot be read, with its line in the file.
func (p *part) syntaxError() error { return &RefusedError{Line: p.errorLine(), Reason: p.err.Error()} }

// errorLine returns the line of the file at which the part cannot be read.
func (p *part) errorLine() int {
	if e, ok := errors.AsType[*document.Error](p.err); ok {
		return p.chunk.Line + max(e.Line, 1) - 1
	}
	return p.chunk.Line
}
