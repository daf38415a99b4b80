//go:build unix

package pluginhost

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readLogs runs input through a reader and returns the records, without times.
func readLogs(t testing.TB, input string, secrets ...string) (string, *logReader) {
	t.Helper()
	var out bytes.Buffer
	handler := slog.NewTextHandler(&out, &slog.HandlerOptions{Level: levelTrace, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})
	scrub := &Scrubber{}
	scrub.Add(secrets...)
	l := newLogReader(slog.New(handler), scrub)
	l.read(strings.NewReader(input))
	return out.String(), l
}

func TestLogLines(t *testing.T) {
	old := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for name, tt := range map[string]struct{ in, want string }{
		"text":        {"hello\nworld", "level=INFO msg=hello\nlevel=INFO msg=world\n"},
		"empty line":  {"\n", "level=INFO msg=\"\"\n"},
		"crlf":        {"a\r\n", "level=INFO msg=a\n"},
		"not UTF-8":   {"a\xffb\n", "level=INFO msg=\"a\uFFFDb\"\n"},
		"entry":       {`{"@level":"warn","@message":"m","@module":"git.http","b":1,"a":"x","c":true,"d":1.5,"e":null,"f":[1, 2]}`, `level=WARN msg=m logger=git.http b=1 a=x c=true d=1.5 e=null f="[1, 2]"` + "\n"},
		"levels":      {`{"@level":"trace","@message":"m"}` + "\n" + `{"@level":"debug","@message":"m"}` + "\n" + `{"@level":"error","@message":"m"}` + "\n" + `{"@level":"odd","@message":"m"}`, "level=DEBUG-4 msg=m\nlevel=DEBUG msg=m\nlevel=ERROR msg=m\nlevel=INFO msg=m\n"},
		"wrong types": {`{"@message":5,"@level":{},"@timestamp":[]}`, "level=INFO msg=5\n"},
		"other JSON":  {`{"a":1}`, `level=INFO msg="{\"a\":1}"` + "\n"},
		"cut JSON":    {`{"@message":"m"`, `level=INFO msg="{\"@message\":\"m\""` + "\n"},
		"host's keys": {`{"@message":"m","plugin":"evil","time":"t","level":"l","msg":"x","pid":1}`, "level=INFO msg=m plugin.plugin=evil plugin.time=t plugin.level=l plugin.msg=x plugin.pid=1\n"},
		"old entry":   {`{"@message":"m","@timestamp":"` + old + `"}`, "level=INFO msg=m logged_at=" + strings.Replace(old, "Z", ".000Z", 1) + "\n"},
		"big number":  {`{"@message":"m","n":123456789012345678901234567890}`, "level=INFO msg=m n=1.2345678901234568e+29\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := readLogs(t, tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPitfall07LongLinesAreCutAndFlagged(t *testing.T) {
	got, _ := readLogs(t, strings.Repeat("x", logLineMax+5)+"\nnext\n")
	first, rest, _ := strings.Cut(got, "\n")
	if want := "level=INFO msg=" + strings.Repeat("x", logLineMax) + " truncated_bytes=6"; first != want {
		t.Errorf("record of %d bytes ends with %q", len(first), first[len(first)-40:])
	}
	if rest != "level=INFO msg=next\n" {
		t.Errorf("then comes %q", rest)
	}
}

func TestEntryHasBoundedAttributes(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"@message":"m"`)
	for n := range 1000 {
		fmt.Fprintf(&b, `,"k%d":%d`, n, n)
	}
	b.WriteString("}")
	got, _ := readLogs(t, b.String())
	if n := strings.Count(got, "="); n != logAttrsMax+2 {
		t.Errorf("%d attributes, want %d", n-2, logAttrsMax)
	}
}

func TestCrashEndsWithTheNextEntry(t *testing.T) {
	in := "before\npanic: no\n\ngoroutine 1 [running]:\nmain.main()\n" + `{"@message":"still here"}` + "\nafter\n"
	got, l := readLogs(t, in)
	want := "level=INFO msg=before\n" +
		`level=ERROR msg="plugin crashed: panic: no" crash="panic: no\n\ngoroutine 1 [running]:\nmain.main()\n"` + "\n" +
		"level=INFO msg=\"still here\"\nlevel=INFO msg=after\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.HasPrefix(l.crashText(), "panic: no") {
		t.Errorf("crash %q", l.crashText())
	}
}

func TestCrashIsBoundedAndKeepsBothEnds(t *testing.T) {
	var b strings.Builder
	b.WriteString("fatal error: all goroutines are asleep\n")
	for n := range 20_000 {
		fmt.Fprintf(&b, "line %d of a long trace\n", n)
	}
	_, l := readLogs(t, b.String())
	text := l.crashText()
	if len(text) > crashMax+20 || !strings.HasPrefix(text, "fatal error: all") || !strings.HasSuffix(text, "line 19999 of a long trace\n") {
		t.Errorf("%d bytes, from %.60q to %q", len(text), text, text[len(text)-40:])
	}
}

func TestSecretsAreScrubbedFromEveryKindOfLine(t *testing.T) {
	in := "text hunter22\n" + `{"@message":"m hunter22","a":"hunter22","b":["hunter22"]}` + "\npanic: hunter22\ngoroutine 1 [running]:\nhunter22\n"
	got, l := readLogs(t, in, "hunter22")
	for _, text := range []string{got, l.crashText(), strings.Join(l.lastLines(), "\n")} {
		if strings.Contains(text, "hunter22") || !strings.Contains(text, "(redacted)") {
			t.Errorf("not scrubbed: %s", text)
		}
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLogReader(slog.New(slog.NewTextHandler(&out, nil)), &Scrubber{})
		r, w := io.Pipe()
		done := make(chan struct{})
		go func() { l.read(r); close(done) }()
		write := func(n int) {
			for range n {
				if _, err := io.WriteString(w, "line\n"); err != nil {
					t.Error(err)
				}
			}
		}
		write(logLinesASec + 500)
		time.Sleep(time.Second) // of the bubble's clock
		write(1)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if n := strings.Count(out.String(), "msg=line"); n != logLinesASec+1 {
			t.Errorf("%d lines passed, want %d", n, logLinesASec+1)
		}
		if !strings.Contains(out.String(), "lines=500") || !strings.Contains(out.String(), "too fast") {
			t.Errorf("the dropped lines are not reported")
		}
	})
}

func TestLastLinesAreTheNewest(t *testing.T) {
	var b strings.Builder
	for n := range 100 {
		fmt.Fprintf(&b, "line %d\n", n)
	}
	b.WriteString(`{"@message":"` + strings.Repeat("é", 1000) + `","k":"v"}` + "\n" + `{"@message":"m","err":"no"}`)
	_, l := readLogs(t, b.String())
	last := l.lastLines()
	if len(last) != lastLinesMax || last[0] != "line 82" || last[19] != "m err=no" || len(last[18]) > lastLineMax+3 {
		t.Errorf("last lines are %q", last)
	}
}

func FuzzLogReader(f *testing.F) {
	for _, s := range []string{`{"@message":5}`, `{"@level":"info","@message":"m","a":{"b":[1]}}`, "panic: x\ngoroutine 1 [running]:\n", "{", "{}", "\xff\n\n", `{"@message":"\ud800"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		_, l := readLogs(t, in+"\nsecret hunter22", "hunter22")
		if strings.Contains(strings.Join(l.lastLines(), "\n")+l.crashText(), "hunter22") {
			t.Error("a secret passed")
		}
	})
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestReadEndsWithTheStream(t *testing.T) {
	l := newLogReader(slog.New(slog.DiscardHandler), &Scrubber{})
	l.read(failingReader{})
}
