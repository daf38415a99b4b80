// Package menu lets a person choose among the rows of a table on a terminal.
//
// Space toggles the row under the cursor, enter commits; j, k, the arrow keys
// and tab move; q, escape and ctrl-c abort. The terminal is as it was on every
// return, also when the context ends or something panics.
package menu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ErrAborted says that the person has left without a choice.
var ErrAborted = errors.New("aborted")

// Row is one line of the table.
type Row struct {
	Text   string // without control characters; what is too long for the terminal is cut off
	Choice bool   // can be chosen; the others are only shown
	Chosen bool   // at the beginning
}

// Options is what Choose shows, and where.
type Options struct {
	Header string // above the columns
	Help   string // what enter does
	Rows   []Row
	In     *os.File // terminal that the keys come from
	Out    *os.File // terminal to draw on; may be In
}

// patience is how long the rest of a key is waited for, and how soon the end of
// the context is noticed.
const patience = 100 * time.Millisecond

// Choose returns the indices of the rows that the person has chosen, in order.
// It is ErrAborted if they want none of it, and an error if there is nothing to
// choose from.
func Choose(ctx context.Context, o Options) ([]int, error) {
	m, ok := newModel(o)
	if !ok {
		return nil, errors.New("menu: no row can be chosen")
	}
	before, err := term.MakeRaw(int(o.In.Fd()))
	if err != nil {
		return nil, fmt.Errorf("menu: no terminal to choose on: %w", err)
	}
	s := &screen{out: o.Out}
	defer func() {
		s.clear()
		_ = term.Restore(int(o.In.Fd()), before) // a terminal that is gone needs nothing
	}()
	keys := keyboard{in: o.In}
	for {
		s.draw(m)
		k, err := keys.next(ctx)
		if err != nil {
			return nil, err
		}
		switch k {
		case abort:
			return nil, ErrAborted
		case commit:
			return m.chosen(), nil
		}
		m.press(k)
	}
}

// keyboard reads keys from a terminal in raw mode.
type keyboard struct {
	in      *os.File
	pending []byte
}

// next waits for a key, or for the end of ctx.
func (kb *keyboard) next(ctx context.Context) (key, error) {
	for {
		if k, n := parseKey(kb.pending); n > 0 {
			kb.pending = kb.pending[n:]
			return k, nil
		}
		more, err := kb.read(ctx)
		switch {
		case err != nil:
			return 0, err
		case !more && len(kb.pending) > 0: // nothing follows: it was the escape key itself
			kb.pending = nil
			return abort, nil
		}
	}
}

// read waits a moment for input. It polls, so that nothing is left reading from
// the terminal when the menu is gone.
func (kb *keyboard) read(ctx context.Context) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, context.Cause(ctx)
	}
	fds := []unix.PollFd{{Fd: int32(kb.in.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(patience.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil // it may be there all the same
	case err == nil && n == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("menu: %w", err)
	}
	buf := make([]byte, 64)
	count, err := kb.in.Read(buf)
	if err != nil || count == 0 {
		return false, fmt.Errorf("menu: the terminal is gone: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	kb.pending = append(kb.pending, buf[:count]...)
	return true, nil
}

// screen draws over what it has drawn before.
type screen struct {
	out   *os.File
	lines int // drawn, the cursor stands in the last one
}

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
)

func (s *screen) draw(m *model) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	lines := m.view(width, height)
	s.write(s.home() + hideCursor + strings.Join(lines, "\r\n"))
	s.lines = len(lines)
}

// clear removes what was drawn, for what is printed next.
func (s *screen) clear() {
	s.write(s.home() + showCursor)
	s.lines = 0
}

// home goes to the first line that was drawn, and clears from there.
func (s *screen) home() string {
	if s.lines > 1 {
		return fmt.Sprintf("\r\x1b[%dA", s.lines-1) + clearBelow
	}
	return "\r" + clearBelow
}

// write ignores a terminal that is gone: reading from it tells.
func (s *screen) write(text string) { _, _ = s.out.WriteString(text) }
