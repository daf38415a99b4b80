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
		return d.removeLines(m, first, last, start, end)
	case first > 0:
		return d.cutAfter(m, m.Content[first-1], start, end, last+2 == len(m.Content))
	case last+2 < len(m.Content):
		next, _, err := d.span(m.Content[last+2])
		if err != nil {
			return nil, d.refuse(m, "%v", err)
		}
		return d.cut(m, start, next, d.chunk.Text[end:next])
	}
	return d.cut(m, start, end, nil)
}

// cutAfter removes what is between two offsets, and the comma before it: or that
// behind it, if it is the last entry and has one too.
func (d *doc) cutAfter(m, previous *yaml.Node, start, end int, isLast bool) ([]splice, error) {
	text := d.chunk.Text
	_, before, err := d.span(previous)
	if err != nil {
		return nil, d.refuse(m, "%v", err)
	}
	comma, behind := skipBlank(text, before), skipBlank(text, end)
	if isLast && behind < len(text) && text[behind] == ',' {
		return d.cut(m, comma+1, behind+1, text[comma:start])
	}
	return d.cut(m, before, end, text[before:start])
}

// cut removes what stands between two offsets, where between may only be
// punctuation.
func (d *doc) cut(m *yaml.Node, start, end int, between []byte) ([]splice, error) {
	if rest := bytes.Trim(between, " \t\r\n,"); len(rest) > 0 {
		return nil, d.refuse(m, "a comment stands between the entries")
	}
	return []splice{{start, end, ""}}, nil
}

// removeLines removes the lines of entries of a block mapping. The first entry
// of an item of a list shares its line with the dash, behind which the next
// entry moves.
func (d *doc) removeLines(m *yaml.Node, first, last, start, end int) ([]splice, error) {
	text, key := d.chunk.Text, m.Content[first]
	line, eol := lineStart(text, start), lineEnd(text, end)
	rest, before := bytes.TrimLeft(text[end:eol], " \t"), bytes.TrimLeft(text[line:start], " ")
	switch {
	case len(rest) > 0 && rest[0] != '#':
		return nil, d.refuse(key, "other values share its lines")
	case len(before) > 0 && first == 0 && last+2 < len(m.Content):
		next, _, err := d.span(m.Content[last+2])
		if err != nil {
			return nil, d.refuse(key, "%v", err)
		}
		return d.cut(m, start, next, text[eol:next])
	case len(before) > 0:
		return nil, d.refuse(key, "other values share its lines")
	}
	if n := breakLength(text[eol:]); n > 0 {
		return []splice{{line, eol + n, ""}}, nil
	}
	// The last line of the file has no line end: that of the line before goes.
	switch {
	case bytes.HasSuffix(text[:line], []byte("\r\n")):
		line -= 2
	case line > 0:
		line--
	}
	return []splice{{line, eol, ""}}, nil
}
