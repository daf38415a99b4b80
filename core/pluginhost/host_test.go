//go:build unix

package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// testTiming makes everything but the start of a process quick.
var testTiming = timing{
	start: time.Minute, describe: time.Minute,
	healthEvery: time.Hour, healthLimit: time.Second, healthMisses: 3,
	backoffMin: 5 * time.Millisecond, backoffMax: 50 * time.Millisecond, backoffReset: time.Minute,
	drain: 10 * time.Second, closing: 10 * time.Second,
	exitNotice: 10 * time.Second, linger: 0,
}

type testHost struct {
	*Host
	log *recorder
	dir string // where its plugins are
}

// newTestHost makes a host that finds the named test plugins.
func newTestHost(t testing.TB, change func(*Options, *timing), plugins ...string) *testHost {
	t.Helper()
	dir := t.TempDir()
	for _, name := range plugins {
		linkTestPlugin(t, filepath.Join(dir, handshake.BinaryPrefix+name))
	}
	rec, log := newRecorder()
	o := Options{
		Dirs: []string{dir}, RunDir: shortDir(t), DataDir: t.TempDir(), CacheDir: t.TempDir(), Logger: log,
		Environ: append(ownEnv(t.TempDir()), "PATH="+os.Getenv("PATH"), "HOME=/nowhere", "SECRET_OF_HOST=x"),
	}
	tm := testTiming
	if change != nil {
		change(&o, &tm)
	}
	h, err := newHost(o, tm)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of the host:\n%.8000s", rec)
		}
	})
	return &testHost{h, rec, dir}
}

// shortDir is a temporary directory with room for a socket's path.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sl") //nolint:usetesting // the path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func config(t testing.TB, kv ...string) json.RawMessage {
	t.Helper()
	m := map[string]string{}
	for n := 0; n < len(kv); n += 2 {
		m[kv[n]] = kv[n+1]
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (h *testHost) open(t testing.TB, typ, name string, kv ...string) *Instance {
	t.Helper()
	i, warnings, err := h.Open(t.Context(), "source", typ, "source."+typ+"."+name, config(t, kv...))
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings: %v", warnings)
	}
	return i
}

func resolve(t testing.TB, i *Instance) string {
	t.Helper()
	rev, err := i.Source().Resolve(t.Context(), source.Revision{})
	if err != nil {
		t.Fatal(err)
	}
	return rev.ID
}

func resolveErr(t testing.TB, i *Instance) error {
	t.Helper()
	rev, err := i.Source().Resolve(t.Context(), source.Revision{})
	if err == nil {
		t.Fatalf("resolved %q, want an error", rev.ID)
	}
	return err
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func (h *testHost) status(t testing.TB) PluginStatus {
	t.Helper()
	list := h.Status()
	if len(list) != 1 {
		t.Fatalf("%d plugins, want one: %+v", len(list), list)
	}
	return list[0]
}

// awaitState waits until the only plugin is in the state.
func (h *testHost) awaitState(t testing.TB, want State) {
	t.Helper()
	h.mu.Lock()
	var p *process
	for _, p = range h.processes {
	}
	h.mu.Unlock()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		p.mu.Lock()
		state, changed := p.state, p.changed
		p.mu.Unlock()
		if state == want {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("state is %s, want %s", state, want)
		}
	}
}

// killProcess kills the only plugin process.
func killProcess(t testing.TB, h *testHost) {
	t.Helper()
	if err := syscall.Kill(h.status(t).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestOpenCallClose(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	if !i.Has(source.CanCommit) || i.Has(source.CanVerify) {
		t.Errorf("capabilities are %v", i.Capabilities())
	}
	first := resolve(t, i)
	if again := resolve(t, i); again != first {
		t.Errorf("two calls ran in processes %s and %s", first, again)
	}
	second := h.open(t, "test", "b")
	if got := resolve(t, second); got != first {
		t.Errorf("a second instance runs in process %s, not in %s", got, first)
	}
	st := h.status(t)
	want := PluginStatus{
		Plugin: "test", Path: st.Path, State: Ready, Since: st.Since, PID: st.PID, Version: "1.2.3",
		SHA256: st.SHA256, RSS: st.RSS, Instances: []string{"source.test.a", "source.test.b"},
	}
	if diff := cmp.Diff(want, st); diff != "" || st.PID == 0 || st.RSS == 0 || len(st.SHA256) != 64 {
		t.Errorf("status %+v (-want +got):\n%s", st, diff)
	}
	for _, i := range []*Instance{i, second, i} {
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := resolveErr(t, i); !errors.Is(err, ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
	gone(t, st.PID) // nobody needs it any more
}

func TestCloseDuringOpenLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	h.open(t, "test", "stays")
	p := h.processes["test"]
	i, err := p.add("source", "test", "source.test.a", config(t, "do", "hang in open"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := i.firstOpen(ctx)
		opened <- err
	}()
	h.log.wait(t, "opening")
	closed := make(chan error, 1)
	go func() { closed <- i.Close(t.Context()) }()
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("Open ends with %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if st := h.status(t); len(st.Instances) != 1 {
		t.Errorf("instances %v", st.Instances)
	}
}

func TestErrorsNameTheInstanceAndKeepTheirIdentity(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	err := resolveErr(t, h.open(t, "test", "a", "do", "gone"))
	if !errors.Is(err, source.ErrGone) {
		t.Errorf("%v is not source.ErrGone", err)
	}
	wantError(t, err, `source/test "a" (plugin test 1.2.3): revision is gone`)
}

func TestOpenReportsDiagnosticsWithoutSecrets(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	_, problems, err := h.Open(t.Context(), "source", "test", "source.test.a", config(t, "do", "refuse", "token", "sesame-open"))
	wantError(t, err, "token (redacted) is not accepted")
	want := diag.List{diag.Errorf(diag.Attr("token"), "token (redacted) is not accepted")}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if inside, _ := diag.From(err); !cmp.Equal(inside, want) {
		t.Errorf("the error holds %v", inside)
	}
}

func TestIdempotentCallIsRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "die once", "file", filepath.Join(t.TempDir(), "f"))
	before := h.status(t).PID
	after := resolve(t, i)
	if st := h.status(t); st.Restarts != 1 || after == "" || st.PID == before || !strings.Contains(st.LastExit, "7") {
		t.Errorf("status after a crash: %+v", st)
	}
}

func TestOtherCallsFailWithTheExit(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "file", filepath.Join(t.TempDir(), "f"))
	_, err := i.Source().Commit(t.Context(), source.Change{})
	exited, ok := errors.AsType[*ExitedError](err)
	if !ok || !errors.Is(err, ErrPluginExited) || exited.Exit.Code != 7 || exited.Call != "source.Commit" {
		t.Fatalf("error %v (%+v)", err, exited)
	}
	wantError(t, err, `source/test "a"`, "plugin test ended during source.Commit: exit status 7")
	resolve(t, i) // and life goes on
}

func TestCrashAtEachCallIsReportedAndHeldBack(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.backoffMin, tm.backoffMax = time.Second, time.Hour }, "test")
	i := h.open(t, "test", "a", "do", "die", "token", "sesame-open")
	wantError(t, resolveErr(t, i), "exit status 7", "last output: cannot go on with (redacted)")
	err := resolveErr(t, i)
	wantError(t, err, "held back until", "ended during the last 2 calls (exit status 7)")
	if !errors.Is(err, ErrPluginExited) {
		t.Errorf("error %v", err)
	}
	good := h.open(t, "test", "b")
	resolve(t, good)
}

func TestInstancesThatCrashDoNotSlowDownTheOthers(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.backoffMin, tm.backoffMax = time.Millisecond, time.Hour }, "test")
	good := h.open(t, "test", "good")
	for n := range 10 { // 20 crashes: pauses that grew would come to 17 minutes
		bad := h.open(t, "test", strconv.Itoa(n), "do", "die")
		wantError(t, resolveErr(t, bad), "exit status 7")
	}
	resolve(t, good)
	if st := h.status(t); st.Restarts != 20 {
		t.Errorf("%d restarts, want 20", st.Restarts)
	}
}

func TestBlameIsClearedBySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &process{h: &Host{timing: timing{backoffMin: time.Second, backoffMax: 3 * time.Second}}}
		i := &Instance{p: p}
		held := func() time.Duration {
			began := time.Now()
			for i.heldBack() != nil {
				time.Sleep(100 * time.Millisecond) // of the bubble's clock
			}
			return time.Since(began)
		}
		for n, want := range []time.Duration{0, 1, 2, 3, 3} {
			s := &session{run: &runner{logs: &logReader{}}}
			i.judge(s, true)
			i.judge(s, true) // another call in the same process
			if got := held(); got != want*time.Second {
				t.Errorf("held back for %s after %d ends, want %ds", got, n+1, want)
			}
		}
		i.judge(&session{}, false)
		if i.heldBack() != nil || i.suspect() {
			t.Error("still held back after a success")
		}
	})
}

func TestPitfall32PanicInAHandlerHarmsOnlyItsCall(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	good := h.open(t, "test", "b")
	pid := resolve(t, good)
	wantError(t, resolveErr(t, h.open(t, "test", "a", "do", "panic")), "panic")
	if got := resolve(t, good); got != pid {
		t.Error("the process was restarted")
	}
}

func TestPanicInAGoroutineIsShownWithTheError(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "panic in goroutine", "token", "sesame-open")
	err := resolveErr(t, i)
	wantError(t, err, "panic: in a goroutine with (redacted)")
	exited, _ := errors.AsType[*ExitedError](err)
	if !strings.Contains(exited.Exit.Crash, "goroutine ") || strings.Contains(exited.Exit.Crash, "sesame") {
		t.Errorf("crash report: %q", exited.Exit.Crash)
	}
}

func TestInstanceThatKillsItsProcessWhenReopenedLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	good := h.open(t, "test", "good")
	h.open(t, "test", "bad", "do", "die in reopen", "file", filepath.Join(t.TempDir(), "f"))
	killProcess(t, h)
	h.log.wait(t, "exit status 9") // the first restart reopens both
	resolve(t, good)
	if n := h.log.count("exit status 9"); n != 1 {
		t.Errorf("the bad instance ended %d processes, want 1", n)
	}
}

func TestPitfall01HostileLogLines(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "hostile log")
	pid := resolve(t, i)
	h.log.wait(t, "msg=5")
	line := h.log.wait(t, "truncated_bytes=")
	if len(line) > logLineMax+1000 {
		t.Errorf("a log record of %d bytes", len(line))
	}
	if got := resolve(t, i); got != pid {
		t.Error("the process was restarted")
	}
}

func TestLogFloodIsThinnedOut(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	resolve(t, h.open(t, "test", "a", "do", "flood"))
	h.log.wait(t, "plugin logs too fast")
}

func TestPitfall06PrintingPluginIsNotBlocked(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	resolve(t, h.open(t, "test", "a", "do", "print"))
	h.log.wait(t, "chatter on standard output") // the SDK makes it log lines
}

func TestPluginLogsAreStructuredAndScrubbed(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	resolve(t, h.open(t, "test", "a", "do", "log", "token", "sesame-open"))
	line := h.log.wait(t, "using token")
	for _, part := range []string{"level=WARN", "plugin=test", "pid=", "token=(redacted)", "n=1"} {
		if !strings.Contains(line, part) {
			t.Errorf("log record %q lacks %s", line, part)
		}
	}
	if strings.Contains(h.log.String(), "sesame") {
		t.Error("the secret is in the log")
	}
}

func TestErrorsAreScrubbed(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	wantError(t, resolveErr(t, h.open(t, "test", "a", "do", "fail", "token", "sesame-open")), "login with (redacted) failed")
}
