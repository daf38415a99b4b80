package edit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// application makes edits of one file.
type application struct {
	data    []byte
	options Options
	edits   []Edit
	images  []ref.Ref // of the edits that have one
	nth     []int     // Nth of the edits, in the document that they are about

	result  []byte
	errs    []error
	changed []bool // by edit
	parsed  int    // documents, for tests

	parts []*part
}

// part is a document of the file, with the edits that are about it.
type part struct {
	chunk document.Chunk
	doc   *doc // nil until it is needed
	err   error
	edits []int
}

func newApplication(data []byte, o Options, edits []Edit) *application {
	a := &application{data: data, options: o, edits: edits, result: data,
		errs: make([]error, len(edits)), changed: make([]bool, len(edits)), images: make([]ref.Ref, len(edits)), nth: make([]int, len(edits))}
	for i, e := range edits {
		a.images[i], a.errs[i] = e.check()
	}
	return a
}

// check returns the edit's image, or what is wrong with the edit.
func (e Edit) check() (image ref.Ref, err error) {
	forms := 0
	for _, is := range []bool{e.Workload != "", e.Marker != "", e.Kustomize != ""} {
		if is {
			forms++
		}
	}
	annotates := len(e.Set)+len(e.Remove) > 0
	switch {
	case forms != 1:
		return image, errors.New("an edit names a workload, a marker or an image of a kustomization")
	case (e.File != "" || e.Nth != 0) && (e.Kustomize == "" || e.Add):
		return image, errors.New("a file, or a number, belongs to the entry of a kustomization")
	case e.Add && !isName(e.Kustomize):
		return image, errors.New("what is added is an image of a kustomization, by its name alone")
	case annotates && (e.Workload == "" || e.Container != "" || e.Image != ""):
		return image, errors.New("annotations belong to a workload, in an edit of their own")
	case annotates:
		return image, nil
	case e.Image == "" || e.Workload != "" && e.Container == "":
		return image, errors.New("an edit has a container and an image, or annotations")
	}
	image, err = ref.Parse(e.Image)
	if err != nil {
		return image, fmt.Errorf("image %q: %w", e.Image, err)
	}
	return image, nil
}

// run makes the edits. One that is about several documents is made in all of
// them or in none.
func (a *application) run() {
	text, line, err := document.Text(a.data)
	encoding := document.EncodingOf(a.data)
	if err == nil && !bytes.Equal(encoding.Bytes(text), a.data) {
		line, err = 1, errors.New("the text is not well-formed UTF-16")
	}
	if err != nil {
		a.failAll(&RefusedError{Line: max(line, 1), Reason: err.Error()})
		return
	}
	for {
		a.split(text)
		a.locate()
		failed := a.apply()
		if !failed {
			break
		}
		clear(a.changed)
	}
	if slices.Contains(a.changed, true) {
		a.result = encoding.Bytes(a.assemble(len(text)))
	}
}

func (a *application) failAll(err error) {
	for i := range a.errs {
		if a.errs[i] == nil {
			a.errs[i] = err
		}
	}
}

func (a *application) split(text []byte) {
	a.parts = a.parts[:0]
	for c := range document.Split(text) {
		a.parts = append(a.parts, &part{chunk: c})
	}
}

func (a *application) assemble(size int) []byte {
	out := make([]byte, 0, size+256)
	for _, p := range a.parts {
		out = append(out, p.chunk.Text...)
	}
	return out
}

// parse parses a part that was not parsed yet.
func (a *application) parse(p *part) {
	if p.doc == nil && !p.chunk.Empty() {
		a.parsed++
		p.doc, p.err = parse(p.chunk, a.options)
	}
}

// apply makes the edits part by part. failed says that an edit was made in one
// part and not in another: it has an error now, and all has to begin anew.
func (a *application) apply() (failed bool) {
	parts := make([]int, len(a.edits))
	for _, p := range a.parts {
		for _, i := range p.edits {
			parts[i]++
		}
	}
	for _, p := range a.parts {
		before := slices.Clone(a.errs)
		a.applyTo(p)
		for _, i := range p.edits {
			failed = failed || parts[i] > 1 && before[i] == nil && a.errs[i] != nil
		}
	}
	return failed
}

// planned is an edit with the changes that it takes.
type planned struct {
	edit    int
	changes []change
}

// applyTo makes the edits of one part, as many together as do not depend on
// each other.
func (a *application) applyTo(p *part) {
	pending := p.edits
	for len(pending) > 0 {
		group, rest := a.gather(p, pending)
		a.commit(p, group)
		pending = rest
	}
}

// gather plans edits from the first on and returns those that can be made
// together, and those that have to wait for them.
func (a *application) gather(p *part, pending []int) (group []planned, rest []int) {
	b := newBatch(p.doc)
	waits := map[string]bool{} // workloads with an edit in rest
	for n, i := range pending {
		e := a.edits[i]
		changes, err := a.plan(p.doc, i)
		switch {
		case waits[e.Workload]:
			rest = append(rest, i)
		case err != nil:
			a.errs[i] = err
		case len(changes) == 0:
		case len(group) > 0 && (isTwoStep(changes) || isTwoStep(group[0].changes) || b.conflicts(changes)):
			if e.Workload == "" { // about several places: what follows may be about one of them
				return group, append(rest, pending[n:]...)
			}
			rest, waits[e.Workload] = append(rest, i), true
		default:
			if err := b.add(changes); err != nil {
				a.errs[i] = err
				b = a.rebuild(p, group)
				continue
			}
			group = append(group, planned{i, changes})
		}
	}
	return group, rest
}

// rebuild returns a batch of the group.
func (a *application) rebuild(p *part, group []planned) *batch {
	b := newBatch(p.doc)
	for _, g := range group {
		if err := b.add(g.changes); err != nil {
			a.errs[g.edit] = err
		}
	}
	return b
}

// isTwoStep reports whether the changes both add entries and remove some, of
// which the second needs the result of the first.
func isTwoStep(changes []change) bool {
	insert := slices.ContainsFunc(changes, func(c change) bool { return c.insert != nil })
	remove := slices.ContainsFunc(changes, func(c change) bool { return c.remove != nil })
	return insert && remove
}

// plan returns the changes that the edit takes in a document that is one of
// its own.
func (a *application) plan(d *doc, i int) ([]change, error) {
	e := a.edits[i]
	switch {
	case e.Marker != "":
		return d.planMarkers(e, a.images[i])
	case e.Add:
		return d.planEntry(e, a.images[i])
	case e.Kustomize != "":
		e.Nth = a.nth[i]
		return d.planKustomize(e, a.images[i])
	}
	o := d.object(canonicalID(e.Workload, a.options))
	if o == nil {
		return nil, fmt.Errorf("%s: %w", e.Workload, ErrNotFound)
	}
	switch {
	case e.Container != "":
		return o.planImage(e, a.images[i])
	case a.options.Values != "":
		return nil, fmt.Errorf("%s is a release block, which has no annotations: write an image_policy about it", o.id)
	}
	return o.planAnnotations(e.Set, e.Remove)
}

// planImage returns the changes that give a container its image.
func (o *object) planImage(e Edit, to ref.Ref) (changes []change, err error) {
	images, _ := o.images()
	var names []string
	for _, im := range images {
		names = append(names, im.name)
	}
	images = slices.DeleteFunc(images, func(im *image) bool { return im.name != e.Container })
	switch {
	case len(images) == 0 && len(names) == 0:
		return nil, fmt.Errorf("container %q of %s: %w: it has no images", e.Container, o.id, ErrNotFound)
	case len(images) == 0:
		return nil, fmt.Errorf("container %q of %s: %w: it has %s", e.Container, o.id, ErrNotFound, strings.Join(names, ", "))
	case len(images) > 1 && images[0].form != FormKind:
		return nil, o.doc.refuse(images[1].ref.value(), "container %s is there twice", e.Container)
	}
	for _, im := range images {
		c, err := im.write(to)
		if err != nil {
			return nil, err
		}
		if now := im.read(); len(c) > 0 && e.From != "" && now != e.From {
			return nil, &ChangedError{Want: e.From, Have: now}
		}
		changes = append(changes, c...)
	}
	return changes, nil
}

// object returns the object of an ID, or nil.
func (d *doc) object(id string) *object {
	for _, o := range d.objects {
		if o.id == id {
			return o
		}
	}
	return nil
}

// anyNode returns a node at or near the field.
func (f field) anyNode() *yaml.Node {
	if n := f.value(); n != nil {
		return n
	}
	return f.owner
}
