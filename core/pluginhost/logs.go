package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	logLineMax   = 256 << 10 // bytes of one line; the rest of it is dropped
	logLinesASec = 1000      // lines passed on in a second
	crashMax     = 64 << 10  // bytes kept of a crash: its first line and its end
	lastLinesMax = 20        // lines kept for the error about an exit
	lastLineMax  = 500       // bytes of each of them
)

// logReader turns what a plugin process writes to stderr into log records.
// Nothing that a plugin writes is trusted: lines are bounded, their number is
// limited, and any text is acceptable.
//
//   - A line that is an entry of hclog's JSON format is logged at its level
//     with its attributes in order.
//   - A Go crash (panic, fatal error, goroutine traces) becomes one record at
//     level Error, and is kept for the error that tells of the exit.
//   - Any other line is logged at level Info.
type logReader struct {
	log   *slog.Logger
	scrub *Scrubber

	window  time.Time // start of the current second
	passed  int       // lines passed on in it
	dropped int       // lines dropped since the last report

	mu      sync.Mutex
	last    []string // newest last
	crash   crashBuffer
	inCrash bool // only used by read
}

func newLogReader(log *slog.Logger, scrub *Scrubber) *logReader {
	return &logReader{log: log, scrub: scrub}
}

// read logs everything from r until it ends. Only one read may run.
func (l *logReader) read(r io.Reader) {
	in := bufio.NewReader(r)
	var line []byte
	for {
		var cut int
		var err error
		line, cut, err = nextLine(in, line[:0])
		if len(line) > 0 || err == nil {
			l.line(line, cut)
		}
		if err != nil {
			break
		}
		if cap(line) > 64<<10 {
			line = nil
		}
	}
	l.reportDropped()
	l.endCrash()
}

// nextLine appends the next line to buf, without its end. cut is the number
// of bytes beyond logLineMax that were dropped.
func nextLine(in *bufio.Reader, buf []byte) (line []byte, cut int, err error) {
	for {
		part, err := in.ReadSlice('\n')
		take := min(len(part), logLineMax-len(buf))
		buf = append(buf, part[:take]...)
		cut += len(part) - take
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimRight(buf, "\r\n"), cut, err
	}
}

func (l *logReader) line(line []byte, cut int) {
	e, ok := parseEntry(line)
	if !ok {
		e = entry{level: slog.LevelInfo, message: strings.ToValidUTF8(string(line), "\uFFFD")}
	}
	e.message = l.scrub.Scrub(e.message)
	if !ok && (l.inCrash || startsCrash(e.message)) {
		l.addCrash(e.message)
		return
	}
	l.endCrash()
	for i, a := range e.attrs {
		if a.Value.Kind() == slog.KindString {
			e.attrs[i].Value = slog.StringValue(l.scrub.Scrub(a.Value.String()))
		}
	}
	if cut > 0 {
		e.attrs = append(e.attrs, slog.Int("truncated_bytes", cut))
	}
	l.remember(e)
	if l.admit() {
		l.log.LogAttrs(context.Background(), e.level, e.message, e.attrs...)
	}
}

// admit reports whether one more line may be passed on in this second.
func (l *logReader) admit() bool {
	now := time.Now()
	if now.Sub(l.window) >= time.Second {
		l.reportDropped()
		l.window, l.passed = now, 0
	}
	if l.passed < logLinesASec {
		l.passed++
		return true
	}
	if l.dropped == 0 {
		l.log.Warn("plugin logs too fast; dropping lines", "limit_per_second", logLinesASec)
	}
	l.dropped++
	return false
}

func (l *logReader) reportDropped() {
	if l.dropped > 0 {
		l.log.Warn("dropped log lines of plugin", "lines", l.dropped)
		l.dropped = 0
	}
}

// chatter tells once that the plugin writes to its standard output.
func (l *logReader) chatter(sample string) {
	l.log.Warn("plugin writes to its standard output, which is reserved; the text is dropped",
		"text", l.scrub.Scrub(strings.ToValidUTF8(sample, "\uFFFD")))
}

// remember keeps e for the error that tells of the exit.
func (l *logReader) remember(e entry) {
	var b strings.Builder
	b.WriteString(e.message[:min(len(e.message), lastLineMax)])
	for _, a := range e.attrs {
		if b.Len() >= lastLineMax {
			break
		}
		b.WriteString(" " + a.String())
	}
	text := b.String()
	if len(text) > lastLineMax {
		text = strings.ToValidUTF8(text[:lastLineMax], "") + "..."
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) == lastLinesMax {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	l.last = append(l.last, text)
}

// lastLines returns the newest messages, oldest first.
func (l *logReader) lastLines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.last...)
}

// startsCrash tells whether the Go runtime begins a crash report with line.
func startsCrash(line string) bool {
	for _, p := range []string{"panic: ", "fatal error: ", "SIGABRT: ", "SIGQUIT: ", "unexpected fault address ", "runtime: out of memory", "runtime: goroutine stack exceeds"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	rest, ok := strings.CutPrefix(line, "goroutine ")
	return ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' && strings.HasSuffix(rest, "]:")
}

func (l *logReader) addCrash(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.inCrash {
		l.crash, l.inCrash = crashBuffer{}, true
	}
	l.crash.add(line)
}

// endCrash logs the crash that was being collected, if any. A crash ends with
// the process, or with the next log entry when it was only a text that looked
// like one.
func (l *logReader) endCrash() {
	if !l.inCrash {
		return
	}
	l.inCrash = false
	text := l.crashText()
	first, _, _ := strings.Cut(text, "\n")
	l.log.Error("plugin crashed: "+first, "crash", text)
}

// crashText returns the last crash report, empty if there was none.
func (l *logReader) crashText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crash.String()
}

// crashBuffer keeps the first line and the last crashMax bytes.
type crashBuffer struct {
	first string
	tail  []byte
	cut   bool
}

func (c *crashBuffer) add(line string) {
	if c.first == "" {
		c.first = line[:min(len(line), crashMax/2)]
		return
	}
	c.tail = append(append(c.tail, line...), '\n')
	if len(c.tail) > 2*crashMax { // halve now and then, not with each line
		c.tail = append(c.tail[:0], c.tail[len(c.tail)-crashMax:]...)
		c.cut = true
	}
}

func (c *crashBuffer) String() string {
	tail, cut := c.tail, c.cut
	if room := crashMax - len(c.first); len(tail) > room {
		tail, cut = tail[len(tail)-room:], true
	}
	switch {
	case len(tail) == 0:
		return c.first
	case cut:
		return c.first + "\n[...]\n" + strings.ToValidUTF8(string(tail), "")
	}
	return c.first + "\n" + string(tail)
}
