//go:build unix

package pluginhost

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// recorder is a slog handler's writer that tests can wait on.
type recorder struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	news chan struct{} // closed and replaced with each record
}

func newRecorder() (*recorder, *slog.Logger) {
	r := &recorder{news: make(chan struct{})}
	return r, slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: levelTrace}))
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf.Write(p)
	close(r.news)
	r.news = make(chan struct{})
	return len(p), nil
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// wait returns the first line that contains text, as soon as there is one.
func (r *recorder) wait(t testing.TB, text string) string {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		r.mu.Lock()
		news, log := r.news, r.buf.String()
		r.mu.Unlock()
		for line := range strings.Lines(log) {
			if strings.Contains(line, text) {
				return line
			}
		}
		select {
		case <-news:
		case <-limit.C:
			t.Fatalf("no log record with %q in:\n%.4000s", text, log)
		}
	}
}

func (r *recorder) count(text string) int { return strings.Count(r.String(), text) }

// startRunner starts the test plugin and kills it when the test ends.
func startRunner(t *testing.T, name string, env ...string) (*runner, *recorder) {
	t.Helper()
	rec, log := newRecorder()
	exe, err := new(checksums).open(testPlugin(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	r := newRunner(exe, append(ownEnv(t.TempDir()), env...), t.TempDir(), newLogReader(log, &Scrubber{}))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		<-r.exited
	})
	return r, rec
}

func childPID(t *testing.T, rec *recorder) int {
	t.Helper()
	var pid int
	_, after, _ := strings.Cut(rec.wait(t, "child "), `msg="child `)
	if _, err := fmt.Sscanf(after, "%d", &pid); err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits until no process has the pid, or only a zombie that its new
// parent has yet to reap.
func gone(t *testing.T, pid int) {
	t.Helper()
	for range 3000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("process %d still runs", pid)
}

func TestPitfall03And04KillTakesTheWholeGroup(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "family")
	child := childPID(t, rec)
	if err := r.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, child)
	if e := r.exit(); e.Signal != "killed" {
		t.Errorf("exit is %q, want a kill signal", e)
	}
}

func TestPitfall04ChildrenDoNotOutliveTheLeader(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "orphaner")
	child := childPID(t, rec)
	<-r.exited // the child holds stderr: without a group kill this would take 1000 s
	gone(t, child)
}

func TestPitfall04ChildThatLeftTheGroupDoesNotBlockWait(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "escaper")
	child := childPID(t, rec)
	defer func() { _ = syscall.Kill(child, syscall.SIGKILL) }()
	select {
	case <-r.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("Wait hangs on a pipe that a stranger holds")
	}
}

func TestPitfall06StandardOutputIsDrained(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "chatter")
	first, err := io.ReadAll(r.Stdout())
	if err != nil || string(first) != "first line\n" {
		t.Errorf("go-plugin reads %q, %v; want the first line only", first, err)
	}
	rec.wait(t, "wrote everything")
	rec.wait(t, "reserved")
	if n := rec.count("reserved"); n != 1 {
		t.Errorf("stray output is reported %d times", n)
	}
}

func TestPitfall06FirstLineIsBounded(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, "longline")
	got, err := io.ReadAll(r.Stdout())
	if err != nil || len(got) != 0 {
		t.Errorf("go-plugin reads %d bytes, %v; want nothing", len(got), err)
	}
	if line, ok := r.handshake(); !ok || len(line) != handshakeMax {
		t.Errorf("handshake has %d bytes, %v", len(line), ok)
	}
}

func TestPitfall13NothingOfTheHostsEnvironmentLeaks(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
	r, rec := startRunner(t, "environment", "ONLY=this")
	<-r.exited
	want := []string{"ONLY=this", handshake.LifelineEnv + "=3"}
	var got []string
	for line := range strings.Lines(rec.String()) {
		_, msg, _ := strings.Cut(strings.TrimSpace(line), "msg=")
		msg, _, _ = strings.Cut(msg, " pid=")
		if msg = strings.Trim(msg, `"`); !strings.HasPrefix(msg, "GO") {
			got = append(got, msg)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("environment is %q, want %q", got, want)
	}
}

func TestPitfall14NoStandardInput(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "stdin")
	<-r.exited
	rec.wait(t, "stdin: 0 bytes, err <nil>")
}

func TestPitfall22PluginThatIgnoresSignalsIsKilled(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "deaf")
	rec.wait(t, "ignoring signals")
	_ = syscall.Kill(r.pid, syscall.SIGTERM)
	if err := r.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPitfall24ExitIsNoticedAndDescribed(t *testing.T) {
	t.Parallel()
	r, _ := startRunner(t, "exit3")
	<-r.exited
	e := r.exit()
	if e.String() != "exit status 3" || e.lastWords() != "cannot go on" {
		t.Errorf("exit is %q, last words %q", e, e.lastWords())
	}
}

func TestPitfall25CrashIsOneRecord(t *testing.T) {
	t.Parallel()
	r, rec := startRunner(t, "panicker")
	<-r.exited
	e := r.exit()
	if !strings.HasPrefix(e.Crash, "panic: boom") || !strings.Contains(e.Crash, "goroutine 1 [running]") {
		t.Errorf("crash is %q", e.Crash)
	}
	if n := rec.count("level=ERROR"); n != 1 {
		t.Errorf("%d error records, want 1:\n%s", n, rec)
	}
}

func TestPitfall30SwappedFileDoesNotRun(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, handshake.BinaryPrefix+"exit3")
	linkTestPlugin(t, path)
	exe, err := new(checksums).open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	evil := filepath.Join(dir, "evil")
	if err := os.WriteFile(evil, []byte("#!/bin/sh\necho evil >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(evil, path); err != nil {
		t.Fatal(err)
	}
	rec, log := newRecorder()
	r := newRunner(exe, nil, dir, newLogReader(log, &Scrubber{}))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-r.exited
	if r.state.ExitCode() != 3 || strings.Contains(rec.String(), "evil") {
		t.Errorf("the swapped file ran: exit %s\n%s", r.exit(), rec)
	}
}

func TestScriptsRunByDescriptorToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sluice-plugin-script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho ready\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	exe, err := new(checksums).open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	_, log := newRecorder()
	r := newRunner(exe, []string{"PATH=" + os.Getenv("PATH")}, t.TempDir(), newLogReader(log, &Scrubber{}))
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(r.Stdout()).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Errorf("script says %q, %v", line, err)
	}
	<-r.exited
}

func TestExecutableErrors(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"): "does not exist",
		plain:                         "chmod +x",
		dir:                           "not a regular file",
	} {
		if _, err := new(checksums).open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}
