package cli

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/sluice-gitops/sluice/core/engine"
)

// progress shows long work on standard error: one line that is rewritten on a
// terminal, a line for each new step elsewhere, nothing for programs.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	quiet    bool
	last     string
	dirty    bool
}

func (a *app) progress() *progress {
	f, ok := a.Err.(*os.File)
	return &progress{w: a.Err, terminal: ok && term.IsTerminal(int(f.Fd())), quiet: a.output.machine()}
}

func (p *progress) show(s engine.Progress) {
	text := fmt.Sprintf("%s: %s", s.Node, s.Step)
	live := text
	if s.Total > 0 {
		live += fmt.Sprintf(" %d/%d", s.Done, s.Total)
	}
	if s.Text != "" {
		live += ": " + s.Text
	}
	p.line(text, live)
}

// line shows live on a terminal, where it may change quickly, else text as a
// line of its own unless it is the one before.
func (p *progress) line(text, live string) {
	text, live = visible(text), visible(live)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.quiet:
	case p.terminal:
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%.100s", live)
		p.dirty = true
	case text != p.last:
		p.last = text
		_, _ = fmt.Fprintln(p.w, text)
	}
}

// end clears the line.
func (p *progress) end() {
	if p.dirty {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
}
