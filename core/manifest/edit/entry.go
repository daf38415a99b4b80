package edit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// annotationsKey is the only mapping that is made where there is none.
const annotationsKey = "annotations"

// insertion returns the splice that adds entries to the mapping of c, or adds
// the mapping to its owner if there is none.
func (b *batch) insertion(c change) (splice, error) {
	d := b.doc
	m, entries := c.field.mapping(), c.insert
	switch {
	case m != nil && d.isFlow(m):
		return d.insertFlow(m, d.flowEntries(m, entries))
	case m != nil:
		return d.insertBlock(m, d.blockEntries(m, entries, d.inFlow(m)))
	case c.field.node == nil && c.field.owner != nil:
		return b.insertMapping(c.field.owner, entries)
	case c.field.isNull():
		return b.fillNull(c, entries)
	}
	return splice{}, d.refuse(c.field.value(), "it is no mapping")
}

// insertMapping adds annotations with entries to the mapping owner.
func (b *batch) insertMapping(owner *yaml.Node, entries []entry) (splice, error) {
	d := b.doc
	if !d.isFlow(owner) {
		step := strings.Repeat(" ", d.step(owner))
		lines := []string{annotationsKey + ":"}
		for _, line := range d.blockEntries(owner, entries, false) {
			lines = append(lines, step+line)
		}
		return d.insertBlock(owner, lines)
	}
	inner := d.flowEntries(owner, entries)
	lay := d.layout(owner)
	text := lay.key(annotationsKey) + "{" + strings.Join(inner, lay.comma()) + "}"
	if lay.separator != "" {
		text = lay.key(annotationsKey) + "{" + lay.separator + lay.step + strings.Join(inner, ","+lay.separator+lay.step) + lay.separator + "}"
	}
	return d.insertFlow(owner, []string{text})
}

// fillNull makes annotations that have no value a mapping with entries.
func (b *batch) fillNull(c change, entries []entry) (splice, error) {
	d, n := b.doc, c.field.node
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 && !d.JSON {
		return splice{}, d.refuse(n, "it has an anchor, an alias or a tag")
	}
	start, end, err := d.span(n)
	if err != nil {
		return splice{}, d.refuse(n, "%v", err)
	}
	if start == end && !d.inFlow(n) {
		step := strings.Repeat(" ", d.step(c.field.owner))
		lines := d.blockEntries(c.field.owner, entries, false)
		for i := range lines {
			lines[i] = step + lines[i]
		}
		return d.insertAfter(end, c.field.owner, lines)
	}
	text := "{" + strings.Join(d.flowEntries(c.field.owner, entries), ", ") + "}"
	if start == end {
		text = " " + text
	}
	return splice{start, end, text}, nil
}

// insertBlock adds lines to the block mapping m, behind its last entry.
func (d *doc) insertBlock(m *yaml.Node, lines []string) (splice, error) {
	if len(m.Content) == 0 {
		return splice{}, d.refuse(m, "the mapping is empty")
	}
	_, end, err := d.span(m.Content[len(m.Content)-1])
	if err != nil {
		return splice{}, d.refuse(m, "%v", err)
	}
	return d.insertAfter(end, m, lines)
}

// insertAfter adds lines, indented as the keys of m, after the line of an
// offset, behind which there may only be a comment.
func (d *doc) insertAfter(at int, m *yaml.Node, lines []string) (splice, error) {
	end := lineEnd(d.chunk.Text, at)
	if rest := bytes.TrimLeft(d.chunk.Text[at:end], " \t"); len(rest) > 0 && rest[0] != '#' {
		return splice{}, d.refuse(m, "%v", errPlace)
	}
	return d.linesAt(end, m.Content[0].Column-1, lines), nil
}

// linesAt adds lines at the end of a line.
func (d *doc) linesAt(end, indent int, lines []string) splice {
	eol := d.lineBreak(end) + strings.Repeat(" ", indent)
	return splice{end, end, eol + strings.Join(lines, eol)}
}

// lineBreak returns how lines end at an offset.
func (d *doc) lineBreak(end int) string {
	text := d.chunk.Text
	if n := breakLength(text[end:]); n > 0 {
		return string(text[end : end+n])
	}
	if i := lineEnd(text, 0); i < len(text) {
		return string(text[i : i+breakLength(text[i:])])
	}
	return "\n"
}

// step returns by how much the children of the block mapping m are indented:
// as another of its children is, or as m is below its own parent.
func (d *doc) step(m *yaml.Node) int {
	column := m.Content[0].Column
	for i := 1; i < len(m.Content); i += 2 {
		if v := m.Content[i]; v.Kind == yaml.MappingNode && !d.isFlow(v) && len(v.Content) > 0 && v.Content[0].Column > column {
			return v.Content[0].Column - column
		}
	}
	if parent := d.family()[m]; parent != nil && parent.Kind == yaml.MappingNode && column > parent.Content[0].Column {
		return column - parent.Content[0].Column
	}
	return 2
}

// blockEntries returns a line for each entry, with the quotes that the
// mapping's other values have.
func (d *doc) blockEntries(m *yaml.Node, entries []entry, flow bool) []string {
	quote, always := d.habit(m)
	lines := make([]string, len(entries))
	for i, e := range entries {
		lines[i] = plainOr(e.key, '"', false, flow) + ": " + plainOr(e.value, quote, always, flow)
	}
	return lines
}

// habit returns the quote of the values of m and whether they have quotes that
// they do not need.
func (d *doc) habit(m *yaml.Node) (quote byte, always bool) {
	for i := len(m.Content) - 1; i > 0; i -= 2 {
		v := m.Content[i]
		if v.Kind != yaml.ScalarNode {
			continue
		}
		switch {
		case v.Style&yaml.SingleQuotedStyle != 0:
			return '\'', isPlain(v.Value, d.isFlow(m))
		case v.Style&yaml.DoubleQuotedStyle != 0:
			return '"', isPlain(v.Value, d.isFlow(m))
		}
	}
	return d.quote(), false
}

func plainOr(value string, quote byte, always, flow bool) string {
	if !always && isPlain(value, flow) {
		return value
	}
	return quoted(value, quote)
}
