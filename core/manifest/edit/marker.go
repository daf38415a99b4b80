package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

var markerForm = regexp.MustCompile(`\{\s*"\$(?:sluice|imagepolicy)"[^}\r\n]*\}?`)

// marker is a Marker with its scalar.
type marker struct {
	Marker
	field field
}

// mayHaveMarkers is a quick look at a text.
func mayHaveMarkers(text []byte) bool {
	return bytes.Contains(text, []byte(`"$sluice"`)) || bytes.Contains(text, []byte(`"$imagepolicy"`))
}

// marked are the markers of a document, and what is wrong with others.
type marked struct {
	list     []marker
	problems diag.List
}

// markers returns the markers of the document.
func (d *doc) markers() *marked {
	if d.marked == nil {
		d.marked = d.findMarkers()
	}
	return d.marked
}

func (d *doc) findMarkers() *marked {
	found := &marked{}
	if d.JSON || !mayHaveMarkers(d.chunk.Text) {
		return found
	}
	scalars := d.scalars()
	for _, at := range markerForm.FindAllIndex(d.chunk.Text, -1) {
		m, err := d.marker(scalars, at[0], at[1])
		if err != nil {
			line := d.chunk.Line + d.lineIndex(at[0])
			found.problems = append(found.problems, diag.Diagnostic{Severity: diag.Warning,
				Summary: "the marker has no effect: " + err.Error(),
				Detail:  `A marker stands in a comment behind the scalar that it is about, on the same line: tag: 1.2.3 # {"$sluice": "NAME:tag"}.`,
				Subject: &diag.Range{Start: diag.Pos{Line: line}, End: diag.Pos{Line: line}}})
			continue
		}
		found.list = append(found.list, m)
	}
	return found
}

// markersAt returns the markers that stand at one of the fields.
func (d *doc) markersAt(fields ...field) (list []Marker) {
	for _, m := range d.markers().list {
		if slices.ContainsFunc(fields, func(f field) bool { return f.value() != nil && f.value() == m.field.value() }) {
			list = append(list, m.Marker)
		}
	}
	return list
}

// scalarAt is a scalar, or an alias, that is a value, with its place.
type scalarAt struct {
	field      field
	start, end int
	isKey      bool
}

// scalars returns the document's scalars in the order of the text.
func (d *doc) scalars() (list []scalarAt) {
	var visit func(f field, isKey bool)
	visit = func(f field, isKey bool) {
		n := f.node
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				visit(field{doc: d, path: f.path, node: n.Content[i]}, true)
				visit(field{doc: d, path: f.path + "/" + strings.ReplaceAll(n.Content[i].Value, "/", "~"), owner: n, node: n.Content[i+1]}, false)
			}
		case yaml.SequenceNode:
			for i, e := range n.Content {
				visit(field{doc: d, path: f.path + "/" + itoa(i), node: e}, false)
			}
		default:
			if start, end, err := d.span(n); err == nil {
				list = append(list, scalarAt{f, start, end, isKey})
			}
		}
	}
	for i, root := range d.Roots {
		visit(field{doc: d, path: itoa(i), node: root}, false)
	}
	return list
}

// marker reads the marker between two offsets and finds its scalar: the last
// one before it on its line.
func (d *doc) marker(scalars []scalarAt, start, end int) (marker, error) {
	text := d.chunk.Text
	m, err := readMarker(text[start:end])
	if err != nil {
		return m, err
	}
	line := lineStart(text, start)
	var last *scalarAt
	values := 0
	for i := range scalars {
		s := &scalars[i]
		if s.start >= start {
			break
		}
		if s.end > start && !inHeader(text, s, start) {
			if s.field.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				return m, errors.New("it stands inside of a block scalar, where it is text and no comment")
			}
			return m, errors.New("it stands inside of a scalar, where it is text and no comment")
		}
		if s.end >= line && !s.isKey {
			last = s
			values++
		}
	}
	switch {
	case !bytes.ContainsRune(text[line:start], '#'):
		return m, errors.New("it is not in a comment")
	case last == nil:
		return m, errors.New("there is no scalar before it on its line")
	case values > 1:
		return m, errors.New("several values share its line: put the one that it is about on a line of its own")
	}
	m.field, m.Line = last.field, d.line(last.field.node)
	m.Value, _ = last.field.text()
	return m, nil
}

// inHeader reports whether an offset is in the first line of a block scalar,
// which may end with a comment.
func inHeader(text []byte, s *scalarAt, at int) bool {
	return s.field.node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && at < lineEnd(text, s.start)
}

// readMarker reads the JSON of a marker.
func readMarker(text []byte) (m marker, err error) {
	var setter struct {
		Own  string `json:"$sluice"`
		Flux string `json:"$imagepolicy"`
	}
	if err := json.Unmarshal(text, &setter); err != nil {
		return m, errors.New("it is not valid JSON")
	}
	policy, isFlux := setter.Own, false
	if policy == "" {
		policy, isFlux = setter.Flux, true
	}
	m.Flux = isFlux
	parts := strings.Split(policy, ":")
	names := 1
	if isFlux {
		names = 2 // namespace and name
	}
	if len(parts) < names || len(parts) > names+1 || parts[0] == "" || parts[names-1] == "" {
		return m, fmt.Errorf("%q is not NAME or NAME:PART", policy)
	}
	m.Policy = strings.Join(parts[:names], ":")
	if len(parts) > names {
		m.Part = parts[names]
	}
	switch m.Part {
	case "", "name", "tag", "digest":
		return m, nil
	}
	return m, fmt.Errorf("%q is no part of an image: it is name, tag or digest", m.Part)
}

// lineIndex returns how many lines end before an offset.
func (d *doc) lineIndex(at int) (n int) {
	for i := lineEnd(d.chunk.Text, 0); i < at; i = lineEnd(d.chunk.Text, i) {
		i += breakLength(d.chunk.Text[i:])
		n++
	}
	return n
}

// part returns the part of an image that the marker is about.
func (m marker) part(image ref.Ref) string {
	switch m.Part {
	case "name":
		return image.Name()
	case "tag":
		return image.Tag
	case "digest":
		return image.Digest
	}
	return image.String()
}

// planMarkers returns the changes that give each scalar with the edit's marker
// its part of the image.
func (d *doc) planMarkers(e Edit, to ref.Ref) (changes []change, err error) {
	for _, m := range d.markers().list {
		if m.Policy != e.Marker || m.Flux != e.Flux {
			continue
		}
		want := m.part(to)
		if want == "" {
			return nil, d.refuse(m.field.value(), "the marker asks for the %s of the image, and %s has none", m.Part, to)
		}
		c, err := sets(setting{m.field, want})
		if err != nil {
			return nil, err
		}
		if from := split(e.From); len(c) > 0 && e.From != "" && m.part(from) != m.Value {
			return nil, &ChangedError{Want: m.part(from), Have: m.Value}
		}
		changes = append(changes, c...)
	}
	return changes, nil
}
