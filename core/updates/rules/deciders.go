package rules

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Deciders tell which block of the configuration decides on what has a marker:
// the one that the marker names, and nobody else. A container or an entry of a
// kustomization with a marker is left to it, whatever other blocks cover it.
// Annotations and two markers can contradict each other in one place; then
// neither is followed.
type Deciders struct {
	Blocks   []*Marked // in the order of their first markers
	Problems diag.List
}

// Marked is an image_policy with the markers that stand for it. They move
// together or not at all.
type Marked struct {
	Block
	markers   []edit.Marker
	workloads []edit.Workload // that have one of the markers
	Problem   string          // why nothing moves, "" if it does
}

func NewDeciders(book Book, sync string, found edit.Found) *Deciders {
	d := &Deciders{}
	for _, m := range found.Markers {
		r, err := book.Named(sync, m.Policy)
		if err != nil {
			d.Problems = append(d.Problems, problemAt(m.File, m.Line, diag.Warning, words.OneLine(err), "What has the marker is not updated by it."))
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
func (d *Deciders) add(r Block, m edit.Marker) {
	b := d.Block(r.Name)
	if b == nil {
		b = &Marked{Block: r}
		d.Blocks = append(d.Blocks, b)
	}
	b.markers = append(b.markers, m)
	for _, other := range d.Blocks {
		there := func(o edit.Marker) bool { return o.File == m.File && o.Line == m.Line }
		if other != b && slices.ContainsFunc(other.markers, there) {
			text := fmt.Sprintf("%s and %s both decide on what is at %s:%d, by a marker each", other.Address, b.Address, m.File, m.Line)
			d.refuse(m.File, m.Line, text, "Neither is followed, nor are their other markers: take one of the two away.", other, b)
		}
	}
}

// takeFrom leaves the containers of a workload that have markers to these,
// unless the workload's annotations say something else.
func (d *Deciders) takeFrom(w edit.Workload) {
	annotated := policy.Of(w.Annotations)
	for _, c := range w.Containers {
		for _, m := range c.Markers {
			b := d.of(m)
			if b == nil {
				continue
			}
			b.workloads = append(b.workloads, w)
			if own := annotated.Refine(c.Name, b.Rules); !sameRules(own, b.Rules) {
				file := cmp.Or(m.File, w.File)
				text := fmt.Sprintf("%s, by the marker at %s:%d, and the annotations of %s at %s:%d decide on the image of %s by different rules (%s and %s)",
					b.Address, file, m.Line, w.ID, w.File, w.Line, c.Name, b.Rules, own)
				d.refuse(file, m.Line, text, "Neither is followed: take away the marker, or the annotations.", b)
			}
		}
	}
}

// sameRules reports whether two rules take the same, wherever they come from.
func sameRules(a, b policy.Rules) bool {
	key := func(r policy.Rules) string {
		return digest.Of(r.String(), r.Err == nil, r.Platforms, r.MinAge, r.Downgrade, r.Digest)
	}
	return key(a) == key(b)
}

// refuse keeps blocks from moving anything.
func (d *Deciders) refuse(file string, line int, text, detail string, blocks ...*Marked) {
	d.Problems = append(d.Problems, problemAt(file, line, diag.Error, text, detail))
	for _, b := range blocks {
		b.Problem = cmp.Or(b.Problem, text)
	}
}

func problemAt(file string, line int, severity diag.Severity, summary, detail string) diag.Diagnostic {
	at := diag.Pos{Line: line}
	return diag.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Subject: &diag.Range{File: file, Start: at, End: at}}
}

// Block returns the block of a name, nil if no marker stands for it.
func (d *Deciders) Block(name string) *Marked {
	i := slices.IndexFunc(d.Blocks, func(b *Marked) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return d.Blocks[i]
}

// of returns the block that a marker stands for, nil if it has no effect.
func (d *Deciders) of(m edit.Marker) *Marked {
	i := slices.IndexFunc(d.Blocks, func(b *Marked) bool { return b.isCalled(m.Policy) })
	if i < 0 {
		return nil
	}
	return d.Blocks[i]
}

// OfAny returns the block that decides on what has these markers, nil if none
// of them has an effect.
func (d *Deciders) OfAny(markers []edit.Marker) *Marked {
	for _, m := range markers {
		if b := d.of(m); b != nil {
			return b
		}
	}
	return nil
}

// String says what decides on what has a marker of the block.
func (b *Marked) String() string {
	text := fmt.Sprintf("a marker decides on it, by %s", b.Address)
	if b.Problem != "" {
		return text + "; nothing is followed: " + b.Problem
	}
	return text
}

// Hold is what keeps the markers of a block where they are: the lock of a
// workload that has one of them.
func (b *Marked) Hold(running map[string]workload.Workload) (held policy.Workload) {
	for _, w := range b.workloads {
		p := policy.Of(w.Annotations)
		if p.Locked {
			return p
		}
		held.Ignored = held.Ignored || p.Ignored || running[w.ID].Policy().Ignored
	}
	return held
}

// Image is what the markers of a block spell out together: in one field, or the
// name in one and the tag in another. Without a name in any, the block must name
// the repository.
func (b *Marked) Image() (ref.Ref, bool) {
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

// Edits are one for each name that markers of the block have.
func (b *Marked) Edits(image string) []edit.Edit {
	var edits []edit.Edit
	for _, m := range b.markers {
		if e := (edit.Edit{Marker: m.Policy, Flux: m.Flux, Image: image}); !slices.ContainsFunc(edits, func(o edit.Edit) bool { return o.Marker == e.Marker && o.Flux == e.Flux }) {
			edits = append(edits, e)
		}
	}
	return edits
}

// LinkMarkers gives rendered containers the markers of what they are rendered
// from: the container of that name and image in their file of origin, and the
// entries of kustomizations that make their image.
func LinkMarkers(rendered []edit.Workload, sources edit.Found) {
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
		if ref.Same(k.Reference(), c.Image) {
			take(k.File, k.Markers)
		}
	}
	for _, src := range sources.Workloads {
		for _, o := range src.Containers {
			if src.File == w.File && o.Name == c.Name && ref.Same(o.Image, c.Image) {
				take(src.File, o.Markers)
			}
		}
	}
	return list
}

// EntryImage is the image that an entry of a kustomization makes.
func EntryImage(k edit.KustomizeImage) (ref.Ref, bool) {
	name := k.NewName
	if name == "" {
		name = k.Name
	}
	return assemble(name, k.NewTag, k.Digest)
}

func assemble(name, tag, digest string) (ref.Ref, bool) {
	image, err := ref.Parse(name)
	if err != nil {
		return ref.Ref{}, false
	}
	image = image.WithTag(tag)
	image.Digest = digest
	return image, true
}
