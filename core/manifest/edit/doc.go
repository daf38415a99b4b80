package edit

import (
	"fmt"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// doc is one document of a file, parsed.
type doc struct {
	chunk document.Chunk
	document.Parsed
	options Options
	objects []*object

	starts  []int // offsets of lines in chunk.Text
	parents map[*yaml.Node]*yaml.Node
	aliases bool // there are some; known when parents is
	marked  *marked
}

// parse reads a chunk. After an error it has what comes before.
func parse(c document.Chunk, o Options) (*doc, error) {
	parsed, err := document.Parse(c.Text)
	d := &doc{chunk: c, Parsed: parsed, options: o}
	d.findObjects()
	return d, err
}

// line returns the line of the file that n begins in, or the document's first.
func (d *doc) line(n *yaml.Node) int {
	if n == nil {
		return d.chunk.Line
	}
	return max(n.Line, 1) + d.chunk.Line - 1
}

// refuse says why an edit at n is not made.
func (d *doc) refuse(n *yaml.Node, format string, args ...any) *RefusedError {
	return &RefusedError{Line: d.line(n), Reason: fmt.Sprintf(format, args...)}
}

// offset returns where n begins in the chunk, which the parser tells by line
// and by character within the line.
func (d *doc) offset(n *yaml.Node) (int, bool) {
	if d.starts == nil {
		d.starts = lineStarts(d.chunk.Text, d.JSON)
	}
	if n.Line < 1 || n.Line > len(d.starts) {
		return 0, false
	}
	at := d.starts[n.Line-1]
	for range n.Column - 1 {
		if at >= len(d.chunk.Text) {
			return 0, false
		}
		_, size := utf8.DecodeRune(d.chunk.Text[at:])
		at += size
	}
	return at, true
}

// lineStarts returns the offsets at which lines begin, as the parsers count
// them: JSON's knows only \n, YAML's also \r and three of Unicode.
func lineStarts(text []byte, json bool) []int {
	starts := []int{0}
	for i := 0; i < len(text); {
		n := 0
		if json {
			if text[i] == '\n' {
				n = 1
			}
		} else {
			n = breakLength(text[i:])
		}
		if n > 0 {
			starts = append(starts, i+n)
		}
		i += max(n, 1)
	}
	return starts
}

// breakLength returns the length of the line end that text begins with, or 0.
func breakLength(text []byte) int {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '\n':
		return 1
	case text[0] == '\r':
		if len(text) > 1 && text[1] == '\n' {
			return 2
		}
		return 1
	case text[0] == 0xc2 && len(text) > 1 && text[1] == 0x85:
		return 2
	case text[0] == 0xe2 && len(text) > 2 && text[1] == 0x80 && (text[2] == 0xa8 || text[2] == 0xa9):
		return 3
	}
	return 0
}

// family returns the parents of all nodes.
func (d *doc) family() map[*yaml.Node]*yaml.Node {
	if d.parents != nil {
		return d.parents
	}
	d.parents = map[*yaml.Node]*yaml.Node{}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		d.aliases = d.aliases || n.Kind == yaml.AliasNode
		for _, c := range n.Content {
			d.parents[c] = n
			visit(c)
		}
	}
	for _, root := range d.Roots {
		visit(root)
	}
	return d.parents
}

// inFlow reports whether n stands between brackets or braces.
func (d *doc) inFlow(n *yaml.Node) bool {
	if d.JSON {
		return true
	}
	parents := d.family()
	for n = parents[n]; n != nil; n = parents[n] {
		if n.Style&yaml.FlowStyle != 0 {
			return true
		}
	}
	return false
}

// isFlow reports whether the collection n is written with brackets or braces.
func (d *doc) isFlow(n *yaml.Node) bool { return d.JSON || n.Style&yaml.FlowStyle != 0 }
