package cli

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/sluice-gitops/sluice/core/engine"
)

// progress shows long work on standard error: one line that is rewritten on a
// terminal, a line for each new step elsewhere, nothing for programs.
type progress struct {
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
	if p.quiet {
		return
	}
	text := fmt.Sprintf("%s: %s", s.Node, s.Step)
	if p.terminal {
		if s.Total > 0 {
			text += fmt.Sprintf(" %d/%d", s.Done, s.Total)
		}
		if s.Text != "" {
			text += ": " + s.Text
		}
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%.100s", text)
		p.dirty = true
		return
	}
	if text != p.last {
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
