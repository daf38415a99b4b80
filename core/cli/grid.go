package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// grid is a table that leaves out columns where it is too wide.
type grid struct {
	header     []string
	rows       [][]string
	expendable []string // columns that may be left out, the first one first
}

// write writes the table, no wider than width if that can be done; 0 is any
// width.
func (g grid) write(w io.Writer, noHeaders bool, width int) error {
	shown := make([]int, len(g.header))
	for i := range shown {
		shown[i] = i
	}
	for _, name := range g.expendable {
		if width == 0 || g.width(shown) <= width {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return g.header[i] == name })
	}
	header := ""
	if !noHeaders {
		header = strings.Join(pick(g.header, shown), "\t")
	}
	return table(w, header, func(row func(...any)) {
		for _, r := range g.rows {
			var cells []any
			for _, c := range pick(r, shown) {
				cells = append(cells, c)
			}
			row(cells...)
		}
	})
}

func pick(cells []string, shown []int) []string {
	picked := make([]string, 0, len(shown))
	for _, i := range shown {
		picked = append(picked, cells[i])
	}
	return picked
}

// width is how wide the columns shown are together.
func (g grid) width(shown []int) int {
	const gap = 2
	total := -gap
	for _, i := range shown {
		widest := utf8.RuneCountInString(g.header[i])
		for _, r := range g.rows {
			widest = max(widest, utf8.RuneCountInString(visible(r[i])))
		}
		total += widest + gap
	}
	return total
}

// width is how wide a terminal w is, 0 if it is none.
func (a *app) width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0 // no terminal, or one that does not tell
	}
	return width
}
