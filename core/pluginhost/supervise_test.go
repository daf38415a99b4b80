//go:build unix

package pluginhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// stopProcess stops every thread of a process, so that it hangs.
func stopProcess(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	running := func() bool {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(stats) == 0 {
			t.Fatalf("process %d: no threads, %v", pid, err)
		}
		return slices.ContainsFunc(stats, func(path string) bool {
			stat, err := os.ReadFile(path)
			return err == nil && !bytes.Contains(stat, []byte(") T "))
		})
	}
	for running() {
		<-time.After(time.Millisecond)
	}
}

func TestPitfall02HungPluginIsReplaced(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) {
		tm.healthEvery, tm.healthLimit = 20*time.Millisecond, 2*time.Second
	}, "test")
	i := h.open(t, "test", "a")
	before := resolve(t, i)
	pid := h.status(t).PID
	stopProcess(t, pid)
	if after := resolve(t, i); after == before { // this call waits for the replacement
		t.Error("the hung process answered")
	}
	h.log.wait(t, "did not answer 3 health checks")
	gone(t, pid)
}

func TestPitfall02HungPluginDoesNotHoldUpClose(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.closing = 50 * time.Millisecond }, "test")
	h.open(t, "test", "a")
	pid := h.status(t).PID
	stopProcess(t, pid)
	began := time.Now()
	if err := h.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > stopGrace+killWait {
		t.Errorf("Close took %s", took)
	}
	gone(t, pid)
}

// TestCheck: an instance tells whether it can do its work, without secrets; one
// whose process has ended is not asked, nor is the process started for it.
func TestCheck(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	if answered, err := h.open(t, "test", "a").Check(t.Context()); !answered || err != nil {
		t.Errorf("one that works: %t, %v", answered, err)
	}
	b := h.open(t, "test", "b", "do", "fail", "token", "sesame-open")
	answered, err := b.Check(t.Context())
	if !answered {
		t.Error("one that fails: no answer")
	}
	wantError(t, err, "login with (redacted) failed")
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if answered, err := b.Check(t.Context()); answered || err != nil {
		t.Errorf("after the end of its process: %t, %v", answered, err)
	}
}

func TestPitfall05CallsUnderWayMayEnd(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := i.Source().Resolve(ctx, source.Revision{})
		result <- err
	}()
	h.log.wait(t, "hanging")
	closed := make(chan error, 1)
	go func() { closed <- h.Close(t.Context()) }()
	for h.status(t).State == Ready && !isClosing(h.Host) {
		<-time.After(time.Millisecond)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed during a call: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ends with %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func isClosing(h *Host) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

func TestCloseCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.drain = 20 * time.Millisecond }, "test")
	i := h.open(t, "test", "a", "do", "hang")
	result := make(chan error, 1)
	go func() {
		_, err := i.Source().Resolve(t.Context(), source.Revision{})
		result <- err
	}()
	h.log.wait(t, "hanging")
	wantError(t, h.Close(t.Context()), "plugin test: cut off 1 calls")
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("the call ends with %v", err)
	}
}

func TestCloseOfAnInstanceCancelsItsCalls(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	h.open(t, "test", "stays")
	i := h.open(t, "test", "a", "do", "hang")
	result := make(chan error, 1)
	go func() {
		_, err := i.Source().Resolve(t.Context(), source.Revision{})
		result <- err
	}()
	h.log.wait(t, "hanging")
	if err := i.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("the call ends with %v", err)
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "hang")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := i.Source().Resolve(ctx, source.Revision{})
		result <- err
	}()
	h.log.wait(t, "hanging")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("the call ends with %v", err)
	}
}

func TestIdleProcessStopsAndComesBackOnDemand(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(o *Options, _ *timing) {
		o.IdleStop = time.Hour // what the block says wins
		o.Plugins = append(o.Plugins, Declaration{Name: "test", IdleStop: 20 * time.Millisecond})
	}, "test")
	i := h.open(t, "test", "a")
	before := h.status(t).PID
	h.awaitState(t, Stopped)
	if before != 0 {
		gone(t, before)
	}
	resolve(t, i)
	if st := h.status(t); st.Restarts != 0 || st.LastExit != "" {
		t.Errorf("%d restarts, last exit %q; want none: stopping when idle is no accident", st.Restarts, st.LastExit)
	}
}

func TestProcessWithoutInstancesLingers(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.linger = time.Hour }, "test")
	i := h.open(t, "test", "a")
	before := resolve(t, i)
	if err := i.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := resolve(t, h.open(t, "test", "b")); after != before {
		t.Error("the process was stopped between two instances")
	}
}

func TestWatchEndsWhenTheProcessDoes(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	err := i.Source().Watch(t.Context(), func(source.Revision) {
		_ = syscall.Kill(h.status(t).PID, syscall.SIGKILL)
	})
	if !errors.Is(err, ErrPluginExited) {
		t.Errorf("Watch ends with %v", err)
	}
}

func TestLoggerDefaultsAndLevel(t *testing.T) {
	for level, want := range map[slog.Level]string{levelTrace: "trace", slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error"} {
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
		if got := logLevel(log); got != want {
			t.Errorf("level of %v is %s, want %s", level, got, want)
		}
	}
}
