package edit

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// removal returns the splices that take entries from the mapping of c. A
// mapping that loses all its entries goes as a whole.
func (b *batch) removal(c change) ([]splice, error) {
	d, m := b.doc, c.field.mapping()
	gone := func(i int) bool { return slices.Contains(c.remove, m.Content[i].Value) }
	left := 0
	for i := 0; i < len(m.Content); i += 2 {
		if !gone(i) {
			left++
		}
	}
	if left == 0 {
		owner := c.field.owner
		i := slices.Index(owner.Content, c.field.node)
		if i < 1 {
			return nil, d.refuse(m, "it is merged in from elsewhere")
		}
		return d.removeRun(owner, i-1, i-1)
	}
	var splices []splice
	for i := 0; i < len(m.Content); i += 2 {
		if !gone(i) {
			continue
		}
		last := i
		for last+2 < len(m.Content) && gone(last+2) && d.isFlow(m) {
			last += 2
		}
		s, err := d.removeRun(m, i, last)
		if err != nil {
			return nil, err
		}
		splices, i = append(splices, s...), last
	}
	return splices, nil
}

// removeRun takes out the entries of m from the one whose key has the index
// first to the one with the index last.
func (d *doc) removeRun(m *yaml.Node, first, last int) ([]splice, error) {
	start, _, err := d.span(m.Content[first])
	_, end, endErr := d.span(m.Content[last+1])
	if err != nil || endErr != nil {
		return nil, d.refuse(m.Content[first], "%v", errPlace)
	}
	switch {
	case !d.isFlow(m):
		return d.removeLines(m.Content[first], start, end)
	case first > 0:
		_, before, err := d.span(m.Content[first-1])
		if err != nil {
			return nil, d.refuse(m, "%v", err)
		}
		return d.cut(m, before, end, d.chunk.Text[before:start])
	case last+2 < len(m.Content):
		next, _, err := d.span(m.Content[last+2])
		if err != nil {
			return nil, d.refuse(m, "%v", err)
		}
		return d.cut(m, start, next, d.chunk.Text[end:next])
	}
	return d.cut(m, start, end, nil)
}

// cut removes what stands between two offsets, where between may only be
// punctuation.
func (d *doc) cut(m *yaml.Node, start, end int, between []byte) ([]splice, error) {
	if rest := bytes.Trim(between, " \t\r\n,"); len(rest) > 0 {
		return nil, d.refuse(m, "a comment stands between the entries")
	}
	return []splice{{start, end, ""}}, nil
}

// removeLines removes the lines of a block mapping's entry.
func (d *doc) removeLines(key *yaml.Node, start, end int) ([]splice, error) {
	text := d.chunk.Text
	line, eol := lineStart(text, start), lineEnd(text, end)
	rest := bytes.TrimLeft(text[end:eol], " \t")
	if len(bytes.TrimLeft(text[line:start], " ")) > 0 || len(rest) > 0 && rest[0] != '#' {
		return nil, d.refuse(key, "other values share its lines")
	}
	if n := breakLength(text[eol:]); n > 0 {
		return []splice{{line, eol + n, ""}}, nil
	}
	before := line // the last line of the file has no line end: its predecessor's goes
	for before > 0 && (text[before-1] == '\n' || text[before-1] == '\r') && line-before < 2 {
		before--
		if text[before] == '\r' || text[before] == '\n' && (before == 0 || text[before-1] != '\r') {
			break
		}
	}
	return []splice{{before, eol, ""}}, nil
}
