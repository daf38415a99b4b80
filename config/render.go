package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// textWidth is the width that messages are wrapped to.
const textWidth = 80

// Render prints diagnostics for people, sorted by place, each once:
//
//	sluice.hcl:3:3: error: Unknown argument
//	  |
//	3 |   brnch = "main"
//	  |   ^^^^^
//	Source "git" has no argument "brnch". Did you mean "branch"?
//
// files holds the text of the files by the names in the ranges, of any
// language; without a file's text its source lines are left out. Control
// characters are made visible. An error of w stops the output; who needs to
// know it asks w.
func Render(w io.Writer, l diag.List, files map[string][]byte, color bool) {
	p := painter{color}
	for i, d := range sorted(l) {
		var b strings.Builder
		if i > 0 {
			b.WriteByte('\n')
		}
		p.diagnostic(&b, d, files)
		if _, err := io.WriteString(w, b.String()); err != nil {
			return
		}
	}
}

// sorted returns each diagnostic once, in the order of the files.
func sorted(l diag.List) diag.List {
	l = unique(l)
	slices.SortStableFunc(l, func(a, b diag.Diagnostic) int {
		x, y := subject(a), subject(b)
		return cmp.Or(
			cmp.Compare(x.File, y.File),
			cmp.Compare(x.Start.Line, y.Start.Line),
			cmp.Compare(x.Start.Column, y.Start.Column),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	return l
}

func subject(d diag.Diagnostic) diag.Range {
	if d.Subject == nil {
		return diag.Range{}
	}
	return *d.Subject
}

// painter colours text, or not.
type painter struct{ color bool }

const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	blue   = "\x1b[34m"
	bold   = "\x1b[1m"
	reset  = "\x1b[0m"
)

func (p painter) paint(style, s string) string {
	if !p.color || s == "" {
		return s
	}
	return style + s + reset
}

func (p painter) diagnostic(b *strings.Builder, d diag.Diagnostic, files map[string][]byte) {
	style := red
	if d.Severity == diag.Warning {
		style = yellow
	}
	place := subject(d)
	where := visible(place.String())
	switch {
	case where != "":
		where += ": "
	case len(d.Path) > 0:
		where = visible(d.Path.String()) + ": "
	}
	fmt.Fprintf(b, "%s%s: %s\n", p.paint(bold, where), p.paint(style, d.Severity.String()), p.paint(bold, visible(d.Summary)))
	if src, ok := files[place.File]; ok && place.Start.Line > 0 {
		p.snippet(b, src, place, style)
	}
	for _, line := range wrap(d.Detail, textWidth) {
		b.WriteString(visible(line) + "\n")
	}
}

// snippet writes the source line of place with carets under the part meant.
func (p painter) snippet(b *strings.Builder, src []byte, place diag.Range, style string) {
	s, ok := cut(src, place)
	if !ok {
		return
	}
	number := fmt.Sprint(place.Start.Line)
	gutter := p.paint(blue, strings.Repeat(" ", len(number))+" |")
	fmt.Fprintf(b, "%s\n", gutter)
	fmt.Fprintf(b, "%s %s\n", p.paint(blue, number+" |"), strings.TrimRight(s.text, " "))
	if s.carets > 0 {
		fmt.Fprintf(b, "%s %s%s\n", gutter, strings.Repeat(" ", s.indent), p.paint(style, strings.Repeat("^", s.carets)))
	}
}

// wrap breaks text into lines of at most width columns, between words.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line, columns := "", 0
		for i, word := range strings.Split(paragraph, " ") {
			n := columnsOf(word)
			switch {
			case i == 0:
				line, columns = word, n
			case columns+1+n > width:
				lines = append(lines, line)
				line, columns = word, n
			default:
				line, columns = line+" "+word, columns+1+n
			}
		}
		lines = append(lines, line)
	}
	if text == "" {
		return nil
	}
	return lines
}

// visible replaces what would move the cursor, ring the bell or turn the
// direction of the text.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// isControl reports whether r changes how the text around it is shown.
func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
