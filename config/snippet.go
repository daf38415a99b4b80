package config

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v17/textseg"
	"golang.org/x/text/width"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

const (
	tabWidth = 4

	// maxSnippet is the width of a source line from which only the part
	// around the carets is shown, and maxBefore how much stands before them.
	maxSnippet = 160
	maxBefore  = 60

	// maxLine bounds how many bytes of a line are looked at.
	maxLine = 1 << 16

	ellipsis = "..."
)

// snippet is one source line as it is printed. carets is 0 if only the line
// is known.
type snippet struct {
	text           string
	indent, carets int
}

// cell is one character as a user sees it, which may be several runes.
type cell struct {
	text   string
	offset int // in bytes from the start of the line
	width  int // in columns
}

// cut returns the first line of place. It is not ok if src has no such line,
// as for a file that has changed since.
func cut(src []byte, place diag.Range) (snippet, bool) {
	lineStart, line, ok := lineAt(src, place.Start)
	if !ok {
		return snippet{}, false
	}
	cells := split(line)
	from, to := span(cells, len(line), lineStart, place)
	if place.Start.Column <= 0 && place.Start.Byte <= 0 {
		from, to = 0, 0
	}
	return window(cells, from, to), true
}

// lineAt returns the line of src that pos is in, and its offset. It uses the
// byte offset where it can, since counting the lines of a large file for each
// diagnostic is slow.
func lineAt(src []byte, pos diag.Pos) (start int, line []byte, ok bool) {
	if pos.Byte > 0 && pos.Byte <= len(src) {
		start = bytes.LastIndexByte(src[:pos.Byte], '\n') + 1
	} else {
		for range pos.Line - 1 {
			next := bytes.IndexByte(src[start:], '\n')
			if next < 0 {
				return 0, nil, false
			}
			start += next + 1
		}
	}
	line = src[start:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	return start, line[:min(len(line), maxLine)], true
}

// split returns the characters of a line in a form that is safe to print.
func split(line []byte) []cell {
	var cells []cell
	for offset := 0; offset < len(line); {
		n, cluster, err := textseg.ScanGraphemeClusters(line[offset:], true)
		if err != nil || n <= 0 {
			break
		}
		c := cell{text: string(cluster), offset: offset, width: clusterWidth(cluster)}
		switch {
		case c.text == "\t":
			c.text, c.width = strings.Repeat(" ", tabWidth), tabWidth
		case !utf8.Valid(cluster) || strings.ContainsFunc(c.text, isControl):
			c.text, c.width = string(unicode.ReplacementChar), 1
		}
		cells = append(cells, c)
		offset += n
	}
	return cells
}

// span returns the indexes of the cells that place covers on its first line,
// to being exclusive.
func span(cells []cell, length, lineStart int, place diag.Range) (from, to int) {
	from = cellIndex(cells, place.Start, lineStart)
	switch {
	case place.End.Line > place.Start.Line:
		to = len(cells)
	case place.End.Line == place.Start.Line:
		to = cellIndex(cells, place.End, lineStart)
	}
	return from, max(to, from+1)
}

// cellIndex returns the index of the cell at pos, at most one past the last.
func cellIndex(cells []cell, pos diag.Pos, lineStart int) int {
	if pos.Byte > 0 {
		for i, c := range cells {
			if c.offset >= pos.Byte-lineStart {
				return i
			}
		}
		return len(cells)
	}
	return min(max(pos.Column-1, 0), len(cells))
}

// window joins the cells, only those around from if they are too many.
func window(cells []cell, from, to int) snippet {
	first, last := 0, len(cells)
	if columns(cells) > maxSnippet {
		first = max(0, from-1)
		for before := 0; first > 0 && before < maxBefore; first-- {
			before += cells[first].width
		}
		last = first
		for shown := 0; last < len(cells) && shown < maxSnippet; last++ {
			shown += cells[last].width
		}
	}
	var s snippet
	if first > 0 {
		s.text, s.indent = ellipsis, len(ellipsis)
	}
	s.text += text(cells[first:last])
	if last < len(cells) {
		s.text += ellipsis
	}
	if to > from {
		end := min(to, last)
		s.indent += columns(cells[first:min(from, last)])
		s.carets = 1
		if end > from {
			s.carets = max(1, columns(cells[from:end]))
		}
	}
	return s
}

func text(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(c.text)
	}
	return b.String()
}

func columns(cells []cell) int {
	n := 0
	for _, c := range cells {
		n += c.width
	}
	return n
}

// columnsOf returns how many columns a terminal needs for s.
func columnsOf(s string) int { return columns(split([]byte(s))) }

// clusterWidth is the width of the widest rune: the others of a cluster
// combine with it.
func clusterWidth(cluster []byte) int {
	widest := 0
	for _, r := range string(cluster) {
		widest = max(widest, runeWidth(r))
	}
	return widest
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
