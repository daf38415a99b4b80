package engine

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// deciders tell which block of the configuration decides on what has a marker:
// the one that the marker names, and nobody else. A container or an entry of a
// kustomization with a marker is left to it, whatever other blocks cover it.
// Annotations and two markers can contradict each other in one place; then
// neither is followed.
type deciders struct {
	blocks   []*markedBlock // in the order of their first markers
	problems diag.List
}

// markedBlock is an image_policy with the markers that stand for it. They move
// together or not at all.
type markedBlock struct {
	imageRules
	markers   []edit.Marker
	workloads []edit.Workload // that have one of the markers
	problem   string          // why nothing moves, "" if it does
}

func newDeciders(book rulebook, sync string, found edit.Found) *deciders {
	d := &deciders{}
	for _, m := range found.Markers {
		r, err := book.named(sync, m.Policy)
		if err != nil {
			d.problems = append(d.problems, problemAt(m.File, m.Line, diag.Warning, oneLine(err), "What has the marker is not updated by it."))
			continue
		}
		d.add(r, m)
	}
	for _, w := range found.Workloads {
		d.takeFrom(w)
	}
	return d
}

// add takes up a marker of a block. Another block's at the same scalar, of which
// a line has one, leaves both without effect.
func (d *deciders) add(r imageRules, m edit.Marker) {
	b := d.block(r.Name)
	if b == nil {
		b = &markedBlock{imageRules: r}
		d.blocks = append(d.blocks, b)
	}
	b.markers = append(b.markers, m)
	for _, other := range d.blocks {
		there := func(o edit.Marker) bool { return o.File == m.File && o.Line == m.Line }
		if other != b && slices.ContainsFunc(other.markers, there) {
			text := fmt.Sprintf("%s and %s both decide on what is at %s:%d, by a marker each", other.Address, b.Address, m.File, m.Line)
			d.refuse(m.File, m.Line, text, "Neither is followed, nor are their other markers: take one of the two away.", other, b)
		}
	}
}

// takeFrom leaves the containers of a workload that have markers to these,
// unless the workload's annotations say something else.
func (d *deciders) takeFrom(w edit.Workload) {
	annotated := policy.Of(w.Annotations)
	for _, c := range w.Containers {
		for _, m := range c.Markers {
			b := d.of(m)
			if b == nil {
				continue
			}
			b.workloads = append(b.workloads, w)
			if own := annotated.Refine(c.Name, b.rules); !sameRules(own, b.rules) {
				file := cmp.Or(m.File, w.File)
				text := fmt.Sprintf("%s, by the marker at %s:%d, and the annotations of %s at %s:%d decide on the image of %s by different rules (%s and %s)",
					b.Address, file, m.Line, w.ID, w.File, w.Line, c.Name, b.rules, own)
				d.refuse(file, m.Line, text, "Neither is followed: take away the marker, or the annotations.", b)
			}
		}
	}
}

// sameRules reports whether two rules take the same, wherever they come from.
func sameRules(a, b policy.Rules) bool {
	key := func(r policy.Rules) string {
		return fingerprint(r.String(), r.Err == nil, r.Platforms, r.MinAge, r.Downgrade, r.Digest)
	}
	return key(a) == key(b)
}

// refuse keeps blocks from moving anything.
func (d *deciders) refuse(file string, line int, text, detail string, blocks ...*markedBlock) {
	d.problems = append(d.problems, problemAt(file, line, diag.Error, text, detail))
	for _, b := range blocks {
		b.problem = cmp.Or(b.problem, text)
	}
}

func problemAt(file string, line int, severity diag.Severity, summary, detail string) diag.Diagnostic {
	at := diag.Pos{Line: line}
	return diag.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &diag.Range{File: file, Start: at, End: at}}
}

// block returns the block of a name, nil if no marker stands for it.
func (d *deciders) block(name string) *markedBlock {
	i := slices.IndexFunc(d.blocks, func(b *markedBlock) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return d.blocks[i]
}

// of returns the block that a marker stands for, nil if it has no effect.
func (d *deciders) of(m edit.Marker) *markedBlock {
	i := slices.IndexFunc(d.blocks, func(b *markedBlock) bool { return b.isCalled(m.Policy) })
	if i < 0 {
		return nil
	}
	return d.blocks[i]
}

// ofAny returns the block that decides on what has these markers, nil if none
// of them has an effect.
func (d *deciders) ofAny(markers []edit.Marker) *markedBlock {
	for _, m := range markers {
		if b := d.of(m); b != nil {
			return b
		}
	}
	return nil
}

// String says what decides on what has a marker of the block.
func (b *markedBlock) String() string {
	text := fmt.Sprintf("a marker decides on it, by %s", b.Address)
	if b.problem != "" {
		return text + "; nothing is followed: " + b.problem
	}
	return text
}

// hold is what keeps the markers of a block where they are: the lock of a
// workload that has one of them.
func (b *markedBlock) hold(running map[string]Workload) (held policy.Workload) {
	for _, w := range b.workloads {
		p := policy.Of(w.Annotations)
		if p.Locked {
			return p
		}
		held.Ignored = held.Ignored || p.Ignored || running[w.ID].policy.Ignored
	}
	return held
}

// image is what the markers of a block spell out together: in one field, or the
// name in one and the tag in another. Without a name in any, the block must name
// the repository.
func (b *markedBlock) image() (ref.Ref, bool) {
	var name, tag, digest string
	for _, m := range b.markers {
		switch m.Part {
		case "":
			if image, err := ref.Parse(m.Value); err == nil {
				return image, true
			}
		case "name":
			name = m.Value
		case "tag":
			tag = m.Value
		case "digest":
			digest = m.Value
		}
	}
	if exact := b.repositories(); name == "" && len(exact) > 0 {
		name = exact[0].Name()
	}
	if name == "" {
		return ref.Ref{}, false
	}
	return assemble(name, tag, digest)
}

// edits are one for each name that markers of the block have.
func (b *markedBlock) edits(image string) []edit.Edit {
	var edits []edit.Edit
	for _, m := range b.markers {
		if e := (edit.Edit{Marker: m.Policy, Flux: m.Flux, Image: image}); !slices.ContainsFunc(edits, func(o edit.Edit) bool { return o.Marker == e.Marker && o.Flux == e.Flux }) {
			edits = append(edits, e)
		}
	}
	return edits
}

// linkMarkers gives rendered containers the markers of what they are rendered
// from: the container of that name and image in their file of origin, and the
// entries of kustomizations that make their image.
func linkMarkers(rendered []edit.Workload, sources edit.Found) {
	if len(sources.Markers) == 0 {
		return
	}
	for _, w := range rendered {
		for n := range w.Containers {
			w.Containers[n].Markers = markersBehind(w, w.Containers[n], sources)
		}
	}
}

func markersBehind(w edit.Workload, c edit.Container, sources edit.Found) (list []edit.Marker) {
	take := func(file string, markers []edit.Marker) {
		for _, m := range markers {
			m.File = file
			list = append(list, m)
		}
	}
	for _, k := range sources.Kustomize {
		if sameReference(k.Reference(), c.Image) {
			take(k.File, k.Markers)
		}
	}
	for _, src := range sources.Workloads {
		for _, o := range src.Containers {
			if src.File == w.File && o.Name == c.Name && sameReference(o.Image, c.Image) {
				take(src.File, o.Markers)
			}
		}
	}
	return list
}

func sameReference(a, b string) bool {
	x, errX := ref.Parse(a)
	y, errY := ref.Parse(b)
	return errX == nil && errY == nil && x.CanonicalName() == y.CanonicalName() && x.Tag == y.Tag && x.Digest == y.Digest
}
