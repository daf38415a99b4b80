package edit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// imagesKey is the only list that is made where there is none.
const imagesKey = "images"

// addItem plans one more mapping at the end of the list of c.
func (b *batch) addItem(c change) error {
	splices, err := b.doc.itemSplices(c)
	if err != nil {
		return err
	}
	target := c.field.value()
	if target == nil || c.field.isNull() {
		target = c.field.owner
	}
	if err := b.only(target, c.field); err != nil {
		return err
	}
	b.shape[target] = true
	b.splices = append(b.splices, splices...)
	b.expect = append(b.expect, func() { expectItem(c) })
	return nil
}

// expectItem gives the list of c its new item.
func expectItem(c change) {
	item := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, e := range c.item {
		item.Content = append(item.Content, scalarNode(e.key), scalarNode(e.value))
	}
	list := c.field.value()
	if list == nil {
		list = &yaml.Node{}
		c.field.owner.Content = append(c.field.owner.Content, scalarNode(imagesKey), list)
	}
	if list.Kind != yaml.SequenceNode {
		*list = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	}
	list.Content = append(list.Content, item)
}

// itemSplices returns what adds the item of c, in the way in which the list has
// its last one.
func (d *doc) itemSplices(c change) ([]splice, error) {
	list := c.field.value()
	switch {
	case list == nil:
		return d.newList(c.field.owner, c.item)
	case c.field.isNull():
		return d.fillList(c)
	case list.Kind != yaml.SequenceNode:
		return nil, d.refuse(list, "it is no list")
	case d.isFlow(list):
		return d.appendFlow(list, c.item)
	}
	return d.appendBlock(list, c.item)
}

// appendBlock adds lines behind those of the last item.
func (d *doc) appendBlock(list *yaml.Node, entries []entry) ([]splice, error) {
	last := list.Content[len(list.Content)-1]
	_, end, err := d.span(last)
	if err != nil {
		return nil, d.refuse(last, "%v", err)
	}
	end, ok := d.endOfLine(end)
	if !ok {
		return nil, d.refuse(last, "%v", errPlace)
	}
	lines := []string{"- " + d.flowItem(last, entries)}
	if last.Kind != yaml.MappingNode || !d.isFlow(last) {
		gap := 2
		if last.Kind == yaml.MappingNode && last.Column > list.Column {
			gap = last.Column - list.Column
		}
		lines = d.blockItem(last, gap, entries)
	}
	return []splice{d.linesAt(end, list.Column-1, lines)}, nil
}

// endOfLine returns the end of the line of an offset, behind which there may
// only be a comment.
func (d *doc) endOfLine(at int) (end int, ok bool) {
	end = lineEnd(d.chunk.Text, at)
	rest := bytes.TrimLeft(d.chunk.Text[at:end], " \t")
	return end, len(rest) == 0 || rest[0] == '#'
}

// blockItem returns the lines of an item with entries, written as those of like.
func (d *doc) blockItem(like *yaml.Node, gap int, entries []entry) []string {
	lines := d.blockEntries(like, entries, false)
	for i := range lines {
		lead := strings.Repeat(" ", gap)
		if i == 0 {
			lead = "-" + lead[1:]
		}
		lines[i] = lead + lines[i]
	}
	return lines
}

// flowItem returns the mapping of entries, between braces and written as like.
func (d *doc) flowItem(like *yaml.Node, entries []entry) string {
	if like.Kind != yaml.MappingNode {
		like = noEntries
	}
	lay, pad := d.layout(like), ""
	if start, _, err := d.span(like); err == nil && d.isFlow(like) && bytes.HasPrefix(d.chunk.Text[start:], []byte("{ ")) {
		pad = " "
	}
	return "{" + pad + strings.Join(d.flowEntries(like, entries), lay.comma()) + pad + "}"
}

// noEntries is what an item is written like where there is none yet.
var noEntries = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}

// appendFlow adds an item between the brackets, on a line of its own if the
// last one has it.
func (d *doc) appendFlow(list *yaml.Node, entries []entry) ([]splice, error) {
	text := d.chunk.Text
	if len(list.Content) == 0 {
		start, _, err := d.span(list)
		if err != nil {
			return nil, d.refuse(list, "%v", err)
		}
		return []splice{{start + 1, start + 1, d.flowItem(noEntries, entries)}}, nil
	}
	last := list.Content[len(list.Content)-1]
	start, end, err := d.span(last)
	if err != nil {
		return nil, d.refuse(last, "%v", err)
	}
	item := d.flowItem(last, entries)
	comma := skipBlank(text, end)
	hasComma := comma < len(text) && text[comma] == ','
	line := lineStart(text, start)
	indent := text[line:start]
	if line == 0 || len(bytes.TrimLeft(indent, " \t")) > 0 {
		if hasComma {
			return []splice{{comma + 1, comma + 1, " " + item + ","}}, nil
		}
		return []splice{{end, end, d.layout(last).comma() + item}}, nil
	}
	item = d.lineBreak(lineEnd(text, end)) + string(indent) + item
	if hasComma {
		at, ok := d.endOfLine(comma + 1)
		if !ok {
			at = comma + 1
		}
		return []splice{{at, at, item + ","}}, nil
	}
	at, ok := d.endOfLine(end)
	if !ok || at == end {
		return []splice{{end, end, "," + item}}, nil
	}
	return []splice{{end, end, ","}, {at, at, item}}, nil
}

// newList adds a list with one item to the mapping owner, which has none: at
// the end of the text, lest it come between another list and the comments that
// follow it.
func (d *doc) newList(owner *yaml.Node, entries []entry) ([]splice, error) {
	if len(owner.Content) == 0 {
		return nil, d.refuse(owner, "the kustomization is empty")
	}
	if d.isFlow(owner) {
		s, err := d.insertFlow(owner, []string{d.layout(owner).key(imagesKey) + "[" + d.flowItem(noEntries, entries) + "]"})
		return []splice{s}, err
	}
	lines := append([]string{imagesKey + ":"}, d.listLines(owner, entries)...)
	return []splice{d.linesAt(d.lastLine(), owner.Content[0].Column-1, lines)}, nil
}

// fillList makes a list that has no value one with one item.
func (d *doc) fillList(c change) ([]splice, error) {
	n := c.field.node
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 && !d.JSON {
		return nil, d.refuse(n, "it has an anchor, an alias or a tag")
	}
	start, end, err := d.span(n)
	if err != nil {
		return nil, d.refuse(n, "%v", err)
	}
	if start < end || d.inFlow(n) {
		text := "[" + d.flowItem(noEntries, c.item) + "]"
		if start == end {
			text = " " + text
		}
		return []splice{{start, end, text}}, nil
	}
	end, ok := d.endOfLine(end)
	if !ok {
		return nil, d.refuse(n, "%v", errPlace)
	}
	return []splice{d.linesAt(end, c.field.owner.Content[0].Column-1, d.listLines(c.field.owner, c.item))}, nil
}

// listLines returns the lines of a list with one item, indented as the other
// lists of owner are.
func (d *doc) listLines(owner *yaml.Node, entries []entry) []string {
	lines := d.blockItem(noEntries, 2, entries)
	for i := 1; i < len(owner.Content); i += 2 {
		v := owner.Content[i]
		if v.Kind != yaml.SequenceNode || d.isFlow(v) || v.Column < owner.Content[0].Column {
			continue
		}
		for n := range lines {
			lines[n] = strings.Repeat(" ", v.Column-owner.Content[0].Column) + lines[n]
		}
		break
	}
	return lines
}

// lastLine returns the end of the last line that is not blank and does not end
// the document.
func (d *doc) lastLine() int {
	text := d.chunk.Text
	for {
		text = bytes.TrimRight(text, " \t\r\n")
		start := lineStart(text, len(text))
		if start == 0 || !bytes.HasPrefix(text[start:], []byte("...")) {
			return lineEnd(d.chunk.Text, len(text))
		}
		text = text[:start]
	}
}
