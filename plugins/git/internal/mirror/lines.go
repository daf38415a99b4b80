package mirror

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/utils/diff"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// hunk replaces the lines from (inclusive) to to (exclusive) of a text.
type hunk struct {
	from, to int
	lines    []string
}

func (h hunk) overlaps(o hunk) bool {
	if h.from == o.from && (h.from == h.to || o.from == o.to) {
		return true
	}
	return h.from < o.to && o.from < h.to
}

// overlay makes in older the changes that lead from base to newer, line by
// line. Where older has changed the same lines, newer's stand.
func overlay(base, older, newer []byte) []byte {
	const mostBytes, mostLines = 1 << 20, 50_000
	for _, b := range [][]byte{base, older, newer} {
		if b == nil || len(b) > mostBytes || bytes.Count(b, []byte("\n")) > mostLines || bytes.IndexByte(b, 0) >= 0 {
			return newer
		}
	}
	all := hunks(string(base), string(newer))
	for _, h := range hunks(string(base), string(older)) {
		if !slices.ContainsFunc(all, h.overlaps) {
			all = append(all, h)
		}
	}
	return apply(lines(string(base)), all)
}

// hunks lists what leads from one text to another, in order.
func hunks(from, to string) []hunk {
	var out []hunk
	at, open := 0, false
	for _, d := range diff.Do(from, to) {
		l := lines(d.Text)
		if d.Type == diffmatchpatch.DiffEqual {
			at += len(l)
			open = false
			continue
		}
		if !open {
			out = append(out, hunk{from: at, to: at})
			open = true
		}
		h := &out[len(out)-1]
		if d.Type == diffmatchpatch.DiffDelete {
			at += len(l)
			h.to = at
		} else {
			h.lines = append(h.lines, l...)
		}
	}
	return out
}

// apply replaces lines of a text. The hunks do not overlap.
func apply(text []string, hunks []hunk) []byte {
	at := map[int]hunk{}
	for _, h := range hunks {
		at[h.from] = h
	}
	var b strings.Builder
	for i := 0; i <= len(text); {
		h, ok := at[i]
		if ok {
			b.WriteString(strings.Join(h.lines, ""))
			delete(at, i)
		}
		switch {
		case ok && h.to > i:
			i = h.to
		case i < len(text):
			b.WriteString(text[i])
			i++
		default:
			i++
		}
	}
	return []byte(b.String())
}

// lines splits a text after each line end.
func lines(text string) []string {
	l := strings.SplitAfter(text, "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}
