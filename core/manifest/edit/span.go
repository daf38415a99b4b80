package edit

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// errPlace says that the text at a node's place is not what the parser made the
// node of, or that it is written in a way that is not understood here.
var errPlace = errors.New("it is written in a way that cannot be edited safely")

// span returns where the value of n begins and ends in the chunk, without the
// anchor and the tag before it. A collection is without the comments behind it.
func (d *doc) span(n *yaml.Node) (start, end int, err error) {
	start, ok := d.offset(n)
	if !ok {
		return 0, 0, errPlace
	}
	if n.Kind == yaml.AliasNode {
		end = start + 1 + len(n.Value)
		if !bytes.HasPrefix(d.chunk.Text[start:], []byte("*"+n.Value)) {
			return 0, 0, errPlace
		}
		return start, end, nil
	}
	start = d.skipProperties(n, start)
	switch n.Kind {
	case yaml.ScalarNode:
		end, ok = d.scalarEnd(n, start)
	case yaml.MappingNode, yaml.SequenceNode:
		end, ok = d.collectionEnd(n, start)
	default:
		ok = false
	}
	if !ok {
		return 0, 0, errPlace
	}
	return start, end, nil
}

// skipProperties returns the offset after an anchor and a tag.
func (d *doc) skipProperties(n *yaml.Node, at int) int {
	text := d.chunk.Text
	if d.JSON {
		return at
	}
	for at < len(text) && (text[at] == '&' && n.Anchor != "" || text[at] == '!') {
		if i := bytes.IndexAny(text[at:], " \t\r\n"); i >= 0 {
			at += i
		} else {
			return len(text)
		}
		at = skipBlank(text, at)
	}
	return at
}

// skipBlank returns the offset after white space, line ends and comments.
func skipBlank(text []byte, at int) int {
	for at < len(text) {
		switch c := text[at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			at++
		case c == '#' && at > 0 && strings.IndexByte(" \t\r\n", text[at-1]) >= 0:
			at = lineEnd(text, at)
		default:
			return at
		}
	}
	return at
}

// lineEnd returns the offset of the next line end, or that of the text's end.
func lineEnd(text []byte, at int) int {
	for at < len(text) && breakLength(text[at:]) == 0 {
		at++
	}
	return at
}

// lineStart returns where the line of an offset begins.
func lineStart(text []byte, at int) int {
	for at > 0 && text[at-1] != '\n' && text[at-1] != '\r' {
		at--
	}
	return at
}

// scalarEnd returns where the scalar n ends that begins at an offset.
func (d *doc) scalarEnd(n *yaml.Node, at int) (end int, ok bool) {
	rest := d.chunk.Text[at:]
	length := 0
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		b, isBlock := readBlock(rest)
		return at + b.end, isBlock
	case n.Style&yaml.DoubleQuotedStyle != 0:
		length, ok = quotedLength(rest, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		length, ok = quotedLength(rest, '\'')
	default:
		length, ok = plainLength(rest, n.Value)
	}
	return at + length, ok
}

// quotedLength returns the length of the quoted scalar that text begins with.
func quotedLength(text []byte, quote byte) (int, bool) {
	if len(text) == 0 || text[0] != quote {
		return 0, false
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] != quote:
		case quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		default:
			return i + 1, true
		}
	}
	return 0, false
}

// plainLength returns the length of the plain scalar that text begins with and
// that has this value, in which a space may be a line end in the text, and n
// line ends n+1 of the text.
func plainLength(text []byte, value string) (int, bool) {
	at := 0
	for i := 0; i < len(value); {
		if at < len(text) && text[at] == value[i] && value[i] != '\n' {
			if value[i] != ' ' || !foldsHere(text[at:]) {
				i, at = i+1, at+1
				continue
			}
		}
		if value[i] != ' ' && value[i] != '\n' {
			return 0, false
		}
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		for value[i] == '\n' && i+1 < len(value) && value[i+1] == '\n' {
			i++
		}
		i++
	}
	return at, true
}

// foldsHere reports whether the white space that text begins with goes on
// across a line end.
func foldsHere(text []byte) bool {
	rest := bytes.TrimLeft(text, " \t")
	return len(rest) > 0 && (rest[0] == '\n' || rest[0] == '\r')
}

// block is a literal or folded scalar in a text.
type block struct {
	header string // | or > and what says how to read the lines
	first  int    // offset of the first line
	indent int    // of the lines
	end    int    // offset of the end of the last line, its line end not included
}

// readBlock takes apart the block scalar that text begins with.
func readBlock(text []byte) (b block, ok bool) {
	if len(text) == 0 || text[0] != '|' && text[0] != '>' {
		return b, false
	}
	n := 1
	for n < len(text) && strings.IndexByte("+-123456789", text[n]) >= 0 {
		n++
	}
	b.header = string(text[:n])
	b.end = lineEnd(text, 0)
	at := b.end + breakLength(text[b.end:])
	b.first, b.indent = at, -1
	for at < len(text) {
		end := lineEnd(text, at)
		line := text[at:end]
		indent := len(line) - len(bytes.TrimLeft(line, " "))
		blank := indent == len(line)
		if b.indent < 0 && !blank {
			b.indent = indent
		}
		if !blank && indent < b.indent || !blank && b.indent == 0 {
			break
		}
		if !blank || strings.Contains(b.header, "+") {
			b.end = end
		}
		if at = end + breakLength(text[end:]); at == end {
			break
		}
	}
	return b, b.indent > 0
}

// collectionEnd returns where a mapping or sequence ends.
func (d *doc) collectionEnd(n *yaml.Node, at int) (end int, ok bool) {
	text := d.chunk.Text
	if len(n.Content) > 0 {
		_, last, err := d.span(n.Content[len(n.Content)-1])
		if err != nil {
			return 0, false
		}
		end = last
	} else if d.isFlow(n) {
		end = at + 1
	}
	if !d.isFlow(n) {
		return end, len(n.Content) > 0
	}
	end = skipBlank(text, end)
	if end < len(text) && text[end] == ',' {
		end = skipBlank(text, end+1)
	}
	closing := byte('}')
	if n.Kind == yaml.SequenceNode {
		closing = ']'
	}
	return end + 1, end < len(text) && text[end] == closing
}
