package programs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	terminalInterval = time.Second      // between two updates of the line of a terminal
	logInterval      = 30 * time.Second // between two lines anywhere else
	detailWidth      = 48               // columns for what is being compiled
	tailLines        = 20               // of the go command's output that an error shows
)

// Progress tells a person how far a build is: on a terminal with one line that
// changes, elsewhere with a line now and then.
type Progress struct {
	out      io.Writer
	terminal bool
}

// NewProgress returns a Progress that writes to out.
func NewProgress(out io.Writer) *Progress {
	return &Progress{out: out, terminal: isTerminal(out)}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Note prints one line.
func (p *Progress) Note(text string) { p.printf("%s\n", text) }

// printf ignores errors: that nobody can see the progress is no reason to stop.
func (p *Progress) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format, args...) }

// Step starts to report program n of total. The caller must call its Done.
func (p *Progress) Step(n, total int, name string) *Step {
	s := &Step{
		progress: p, label: fmt.Sprintf("[%d/%d] %s", n, total, name),
		start: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if n == 1 {
		p.Note("building the programs of the control plane: once for each set of versions, 5 to 10 minutes on two cores")
	}
	if !p.terminal {
		p.printf("%s\n", s.label)
	}
	go s.tick()
	return s
}

// Step is one program that is being built. All its methods accept a nil Step
// and may be called concurrently.
type Step struct {
	progress *Progress
	label    string
	start    time.Time
	stop     chan struct{} // closed by Done
	stopped  chan struct{} // closed when tick is over

	mu     sync.Mutex
	detail string
}

// Detail says what the build does just now.
func (s *Step) Detail(text string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detail = text
}

// Done ends the step, with the error of the build.
func (s *Step) Done(err error) {
	if s == nil {
		return
	}
	close(s.stop)
	<-s.stopped
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	s.show(outcome, "\n")
}

func (s *Step) tick() {
	defer close(s.stopped)
	interval := logInterval
	if s.progress.terminal {
		interval = terminalInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
			s.mu.Lock()
			detail := s.detail
			s.mu.Unlock()
			s.show(detail, "")
		}
	}
}

// show prints the step's line; on a terminal over the one before.
func (s *Step) show(detail, end string) {
	elapsed := time.Since(s.start).Round(time.Second)
	if len(detail) > detailWidth {
		detail = "…" + detail[len(detail)-detailWidth+1:]
	}
	if s.progress.terminal {
		s.progress.printf("\r\033[K%-32s %6s  %s%s", s.label, elapsed, detail, end)
		return
	}
	s.progress.printf("%s: %s %s\n", s.label, elapsed, detail)
}

// lineWriter hands each line written to it to line and keeps the last ones.
type lineWriter struct {
	line    func(string)
	partial []byte
	tail    []string
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.partial = append(w.partial, data...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte("\n"))
		if !found {
			return len(data), nil
		}
		text := strings.TrimSpace(string(line))
		w.line(text)
		w.tail = append(w.tail, text)
		w.tail = w.tail[max(0, len(w.tail)-tailLines):]
		w.partial = rest
	}
}
