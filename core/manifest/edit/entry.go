package edit

import (
	"bytes"
	"slices"
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
	eol, indent := d.lineBreak(end), strings.Repeat(" ", m.Content[0].Column-1)
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(eol + indent + line)
	}
	return splice{end, end, text.String()}, nil
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

// layout is how a flow mapping is written.
type layout struct {
	json      bool
	quoteKeys bool
	compact   bool   // no space after : and ,
	separator string // line end and indentation of its entries; "" if they share a line
	step      string // further indentation of what is inside of an entry
}

func (l layout) key(k string) string {
	if l.json || l.quoteKeys {
		k = jsonString(k)
	} else {
		k = plainOr(k, '"', false, true)
	}
	if l.compact && (l.json || l.quoteKeys) {
		return k + ":"
	}
	return k + ": "
}

func (l layout) comma() string {
	if l.compact {
		return ","
	}
	return ", "
}

// layout looks how the flow mapping m is written.
func (d *doc) layout(m *yaml.Node) layout {
	l := layout{json: d.JSON}
	text := d.chunk.Text
	if len(m.Content) == 0 {
		return l
	}
	key, value := m.Content[len(m.Content)-2], m.Content[len(m.Content)-1]
	l.quoteKeys = key.Style&yaml.DoubleQuotedStyle != 0
	start, end, err := d.span(key)
	valueStart, _, valueErr := d.span(value)
	if err != nil || valueErr != nil {
		return l
	}
	l.compact = valueStart == end+1
	line := lineStart(text, start)
	if indent := text[line:start]; line > 0 && len(bytes.TrimLeft(indent, " \t")) == 0 {
		l.separator = d.lineBreak(lineEnd(text, start)) + string(indent)
		l.step = d.flowStep(m, string(indent))
	}
	return l
}

// flowStep returns by how much more than the line of its brace the entries of
// m are indented.
func (d *doc) flowStep(m *yaml.Node, indent string) string {
	if start, _, err := d.span(m); err == nil {
		line := d.chunk.Text[lineStart(d.chunk.Text, start):start]
		outer := string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
		if step, ok := strings.CutPrefix(indent, outer); ok && step != "" {
			return step
		}
	}
	return "  "
}

// flowEntries returns the text of each entry.
func (d *doc) flowEntries(m *yaml.Node, entries []entry) []string {
	l := d.layout(m)
	quote, always := d.habit(m)
	list := make([]string, len(entries))
	for i, e := range entries {
		if l.json {
			list[i] = l.key(e.key) + jsonString(e.value)
		} else {
			list[i] = l.key(e.key) + plainOr(e.value, quote, always, true)
		}
	}
	return list
}

// insertFlow adds entries to the flow mapping m, behind its last one.
func (d *doc) insertFlow(m *yaml.Node, entries []string) (splice, error) {
	l := d.layout(m)
	start, _, err := d.span(m)
	if err != nil {
		return splice{}, d.refuse(m, "%v", err)
	}
	if len(m.Content) == 0 {
		return splice{start + 1, start + 1, strings.Join(entries, l.comma())}, nil
	}
	_, end, err := d.span(m.Content[len(m.Content)-1])
	if err != nil {
		return splice{}, d.refuse(m, "%v", err)
	}
	separator := strings.TrimPrefix(l.comma(), ",")
	if l.separator != "" {
		separator = l.separator
	}
	text := "," + separator + strings.Join(entries, ","+separator)
	if at := skipBlank(d.chunk.Text, end); d.chunk.Text[at] == ',' {
		return splice{at + 1, at + 1, text[1:] + ","}, nil
	}
	return splice{end, end, text}, nil
}

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
