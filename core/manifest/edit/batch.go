package edit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// splice replaces the bytes from start to end.
type splice struct {
	start, end int
	text       string
}

// batch is a number of changes of one document that are made together.
type batch struct {
	doc     *doc
	splices []splice
	values  map[*yaml.Node]string   // scalars that are set
	paths   map[*yaml.Node][]string // at which they are set
	shape   map[*yaml.Node]bool     // mappings whose entries change
	expect  []func()                // make the document's nodes what they should become
}

func newBatch(d *doc) *batch {
	return &batch{doc: d, values: map[*yaml.Node]string{}, paths: map[*yaml.Node][]string{}, shape: map[*yaml.Node]bool{}}
}

// conflicts reports whether the changes have to wait for those of the batch:
// they are about the same scalar or mapping.
func (b *batch) conflicts(changes []change) bool {
	for _, c := range changes {
		n := c.field.value()
		if c.setsValue() {
			if v, ok := b.values[n]; ok && v != c.value || b.shape[c.field.owner] {
				return true
			}
			continue
		}
		if b.shape[c.field.owner] || n != nil && b.shape[n] {
			return true
		}
		for set := range b.values {
			if p := b.doc.family()[set]; p == n || p == c.field.owner {
				return true
			}
		}
	}
	return false
}

// add plans the bytes of changes. With an error the batch is of no use.
func (b *batch) add(changes []change) error {
	for _, c := range changes {
		var err error
		switch {
		case c.insert != nil:
			err = b.addInsertion(c)
		case c.remove != nil:
			err = b.addRemoval(c)
		case c.item != nil:
			err = b.addItem(c)
		default:
			err = b.addValue(c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) addValue(c change) error {
	d, n := b.doc, c.field.value()
	b.paths[n] = append(b.paths[n], c.field.path)
	if _, done := b.values[n]; done {
		return nil
	}
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str" && !d.JSON {
		return d.refuse(n, "its tag %s does not go with a string", n.ShortTag())
	}
	start, end, err := d.span(n)
	if err != nil {
		return d.refuse(n, "%v", err)
	}
	text := d.replacement(n, d.chunk.Text[start:end], c.value)
	if start == end { // nothing yet behind the colon
		if start == 0 || d.chunk.Text[start-1] != ':' {
			return d.refuse(n, "%v", errPlace)
		}
		text = " " + text
	}
	b.values[n] = c.value
	b.splices = append(b.splices, splice{start, end, text})
	b.expect = append(b.expect, func() { becomeString(n, c.value) })
	return nil
}

func becomeString(n *yaml.Node, value string) { n.Value, n.Tag, n.Style = value, "!!str", 0 }

func (b *batch) addInsertion(c change) error {
	s, err := b.insertion(c)
	if err != nil {
		return err
	}
	target := c.field.mapping()
	if target == nil {
		target = c.field.owner
	}
	if err := b.only(target, c.field); err != nil {
		return err
	}
	b.shape[target] = true
	b.splices = append(b.splices, s)
	b.expect = append(b.expect, func() { expectEntries(c) })
	return nil
}

// expectEntries gives the mapping of c its new entries.
func expectEntries(c change) {
	m := c.field.mapping()
	if m == nil {
		m = c.field.node
		if m == nil {
			m = &yaml.Node{}
			c.field.owner.Content = append(c.field.owner.Content, scalarNode(annotationsKey), m)
		}
		*m = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	for _, e := range c.insert {
		m.Content = append(m.Content, scalarNode(e.key), scalarNode(e.value))
	}
}

func scalarNode(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func (b *batch) addRemoval(c change) error {
	m := c.field.mapping()
	if err := b.only(m, c.field); err != nil {
		return err
	}
	splices, err := b.removal(c)
	if err != nil {
		return err
	}
	b.shape[m] = true
	b.shape[c.field.owner] = true
	b.splices = append(b.splices, splices...)
	b.expect = append(b.expect, func() { expectRemoved(c) })
	return nil
}

// expectRemoved takes the entries out of the mapping of c, and that out of its
// owner if none is left.
func expectRemoved(c change) {
	m := c.field.mapping()
	for _, key := range c.remove {
		deleteKey(m, key)
	}
	if len(m.Content) == 0 {
		i := slices.Index(c.field.owner.Content, c.field.node)
		c.field.owner.Content = slices.Delete(c.field.owner.Content, i-1, i+1)
	}
}

func deleteKey(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if document.Resolve(m.Content[i]).Value == key {
			m.Content = slices.Delete(m.Content, i, i+2)
			return
		}
	}
}

// only refuses to change the entries of a mapping that the document has in
// several places.
func (b *batch) only(m *yaml.Node, f field) error {
	b.doc.family()
	if !b.doc.aliases {
		return nil
	}
	if paths, ok := b.doc.usePaths(m); !ok || len(paths) > 1 {
		return b.doc.refuse(m, "an alias has it in other places too, which would change with it")
	}
	return nil
}

// shared returns the scalars of the batch that the document has in places where
// they are not set, each with why.
func (b *batch) shared() map[*yaml.Node]error {
	b.doc.family()
	if !b.doc.aliases {
		return nil
	}
	refused := map[*yaml.Node]error{}
	for n := range b.values {
		uses, ok := b.doc.usePaths(n)
		if !ok {
			refused[n] = b.doc.refuse(n, "there are too many aliases to tell what would change with it")
			continue
		}
		for _, use := range uses {
			if !slices.Contains(b.paths[n], use) && !isExtension(use) {
				refused[n] = b.doc.refuse(n, "%s has this value too, by an alias, and would change with it: write its value out there, or have both take the same image", pathText(use))
				break
			}
		}
	}
	return refused
}

// isExtension reports whether a path is below a field x-... of the document or
// of an object, which stands for nothing but anchors.
func isExtension(path string) bool {
	steps := strings.Split(path, "/")
	return len(steps) > 1 && strings.HasPrefix(steps[1], "x-")
}

// pathText returns a path as a person writes it.
func pathText(path string) string {
	_, below, _ := strings.Cut(path, "/")
	return strings.ReplaceAll(below, "/", ".")
}

// text returns the document's text with the splices. ok is false if they
// overlap.
func (b *batch) text() (text []byte, ok bool) {
	slices.SortStableFunc(b.splices, func(x, y splice) int { return cmp.Compare(x.start, y.start) })
	old := b.doc.chunk.Text
	var out bytes.Buffer
	at := 0
	for i, s := range b.splices {
		if s.start < at || s.end < s.start || s.end > len(old) || i > 0 && s.start == b.splices[i-1].start {
			return nil, false
		}
		out.Write(old[at:s.start])
		out.WriteString(s.text)
		at = s.end
	}
	out.Write(old[at:])
	return out.Bytes(), true
}

// result parses the text that the batch makes and compares it with what is
// meant. The nodes of the batch's document are changed by it.
func (b *batch) result() (*doc, error) {
	text, ok := b.text()
	if !ok {
		return nil, errPlace
	}
	chunks := slices.Collect(document.Split(text))
	if len(chunks) != 1 {
		return nil, errPlace
	}
	next, err := parse(document.Chunk{Text: text, Line: b.doc.chunk.Line}, b.doc.options)
	if err != nil {
		return nil, fmt.Errorf("the result does not parse: %w", err)
	}
	for _, f := range b.expect {
		f()
	}
	if len(next.Roots) != len(b.doc.Roots) {
		return nil, errPlace
	}
	for i := range next.Roots {
		if !same(next.Roots[i], b.doc.Roots[i]) {
			return nil, errPlace
		}
	}
	return next, nil
}

// same reports whether two nodes say the same: values, types, anchors, aliases
// and the order of entries.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || a.ShortTag() != b.ShortTag() || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
