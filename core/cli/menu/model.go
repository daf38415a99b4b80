package menu

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// model is the menu without a terminal: keys go in, lines come out.
type model struct {
	header, help string
	rows         []Row
	cursor       int // index of a row that can be chosen
	top          int // index of the first row that is shown
}

// newModel is false if no row can be chosen.
func newModel(o Options) (*model, bool) {
	m := &model{header: o.Header, help: o.Help, rows: append([]Row(nil), o.Rows...), cursor: -1}
	m.move(1)
	return m, m.cursor >= 0
}

// press does what the key k means, but to commit and to abort.
func (m *model) press(k key) {
	switch k {
	case up:
		m.move(-1)
	case down:
		m.move(1)
	case toggle:
		m.rows[m.cursor].Chosen = !m.rows[m.cursor].Chosen
	}
}

// move goes to the next row in the direction that can be chosen, if there is
// one.
func (m *model) move(step int) {
	for i := m.cursor + step; i >= 0 && i < len(m.rows); i += step {
		if m.rows[i].Choice {
			m.cursor = i
			return
		}
	}
}

func (m *model) chosen() []int {
	var list []int
	for i, r := range m.rows {
		if r.Choice && r.Chosen {
			list = append(list, i)
		}
	}
	return list
}

// view is what a terminal of this size shows: the header, as many rows as fit
// around the cursor, and the help.
func (m *model) view(width, height int) []string {
	const around = 4 // header, two lines of help, and one to spare
	room := max(height-around, 1)
	switch {
	case m.cursor < m.top:
		m.top = m.cursor
	case m.cursor >= m.top+room:
		m.top = m.cursor - room + 1
	}
	end := min(m.top+room, len(m.rows))
	lines := []string{cut("      "+m.header, width)}
	for i := m.top; i < end; i++ {
		lines = append(lines, cut(m.line(i), width))
	}
	status := fmt.Sprintf("%d chosen", len(m.chosen()))
	if hidden := len(m.rows) - (end - m.top); hidden > 0 {
		status += fmt.Sprintf(", rows %d to %d of %d", m.top+1, end, len(m.rows))
	}
	return append(lines, "", cut(status+"; space toggles, enter "+m.help+", q aborts", width))
}

func (m *model) line(i int) string {
	r, pointer, box := m.rows[i], "  ", "    "
	if i == m.cursor {
		pointer = "> "
	}
	switch {
	case r.Choice && r.Chosen:
		box = "[x] "
	case r.Choice:
		box = "[ ] "
	}
	return strings.TrimRight(pointer+box+r.Text, " ")
}

// cut shortens text to width, with a mark where something is missing.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(width-1, 0)]) + "…"
}

// key is what a key press means.
type key int

const (
	other key = iota
	up
	down
	toggle
	commit
	abort
)

// sequences are what terminals send for keys that are not letters.
var sequences = map[string]key{
	"\x1b[A": up, "\x1bOA": up, "\x1b[Z": up, // arrow up, shift-tab
	"\x1b[B": down, "\x1bOB": down,
}

// parseKey returns the first key of input and how many bytes it has, 0 if more
// of them may follow.
func parseKey(input []byte) (key, int) {
	if len(input) == 0 {
		return other, 0
	}
	switch input[0] {
	case 'j', '\t':
		return down, 1
	case 'k':
		return up, 1
	case ' ':
		return toggle, 1
	case '\r', '\n':
		return commit, 1
	case 'q', 3, 4: // ctrl-c, ctrl-d
		return abort, 1
	case 0x1b:
		return parseEscape(input)
	}
	return other, 1
}

// parseEscape reads a key that begins with the escape character: ESC [ or ESC O,
// and then up to a letter or ~. Escape itself is followed by something else, or
// by nothing.
func parseEscape(input []byte) (key, int) {
	if len(input) == 1 {
		return other, 0
	}
	if input[1] != '[' && input[1] != 'O' {
		return abort, 1
	}
	for i := 2; i < len(input); i++ {
		if c := input[i]; c >= 0x40 && c <= 0x7e {
			return sequences[string(input[:i+1])], i + 1
		}
	}
	return other, 0
}
