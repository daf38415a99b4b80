package process

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run starts a shell script in dir, with its output in the file log there.
func run(t *testing.T, dir, script string) Identity {
	t.Helper()
	var id Identity
	err := Start(Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Env: os.Environ(), Log: filepath.Join(dir, "log"),
	}, func(i Identity) error {
		id = i
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// t.Context is cancelled by now.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := id.Stop(ctx, 0); err != nil {
			t.Error(err)
		}
	})
	return id
}

// awaitLine waits until the log holds a line.
func awaitLine(t *testing.T, log, line string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		data, err := os.ReadFile(log)
		if err == nil && strings.Contains(string(data), line+"\n") {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: no line %q in %q (%v)", log, line, data, err)
		case <-tick.C:
		}
	}
}

func TestStartAndStop(t *testing.T) {
	for _, test := range []struct {
		name, script string
		grace        time.Duration
		ends         string // what the script says at a graceful end
	}{
		{"ends when asked", `trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done`, time.Minute, "bye"},
		{"killed after the grace", `trap '' TERM; echo up; while :; do sleep 0.01; done`, 50 * time.Millisecond, ""},
		{"killed at once", `trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done`, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			id := run(t, dir, test.script)
			awaitLine(t, filepath.Join(dir, "log"), "up")
			if !id.Alive() {
				t.Fatal("not alive after its start")
			}
			if err := id.Stop(t.Context(), test.grace); err != nil {
				t.Fatal(err)
			}
			if id.Alive() {
				t.Error("alive after Stop")
			}
			data, err := os.ReadFile(filepath.Join(dir, "log"))
			if err != nil {
				t.Fatal(err)
			}
			if said := strings.Contains(string(data), "bye"); said != (test.ends != "") {
				t.Errorf("log: %q", data)
			}
			if err := id.Stop(t.Context(), time.Minute); err != nil {
				t.Errorf("Stop of what has ended: %v", err)
			}
		})
	}
}

// A process whose starter could not record it must not come to run.
func TestNothingRunsUnrecorded(t *testing.T) {
	dir := t.TempDir()
	var id Identity
	refused := errors.New("disk full")
	err := Start(Command{
		Path: "/bin/sh", Args: []string{"-c", "touch ran; sleep 60"}, Dir: dir, Log: filepath.Join(dir, "log"),
	}, func(i Identity) error {
		id = i
		return refused
	})
	if !errors.Is(err, refused) {
		t.Errorf("Start = %v, want the error of record", err)
	}
	if id.Alive() {
		t.Error("the process lives on")
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the program ran")
	}
}

// The pid of a process that has ended may belong to another one: here, to the
// test itself.
func TestAnotherProcessWithThePidIsLeftAlone(t *testing.T) {
	self, running := startOf(os.Getpid())
	if !running {
		t.Fatal("the test does not find itself")
	}
	other := Identity{PID: os.Getpid(), Start: self + "0"}
	if other.Alive() {
		t.Error("alive")
	}
	if other.Signal(os.Kill) {
		t.Error("got a signal") // Or this line is never reached.
	}
	if err := other.Stop(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if (Identity{}).Alive() || (Identity{}).Signal(os.Kill) {
		t.Error("the zero identity names a process")
	}
}

func TestStartWithoutProgram(t *testing.T) {
	err := Start(Command{Path: filepath.Join(t.TempDir(), "none"), Log: filepath.Join(t.TempDir(), "log")}, func(Identity) error {
		t.Error("recorded a process")
		return nil
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start = %v, want ErrNotExist", err)
	}
}

func TestThePreviousLogIsKept(t *testing.T) {
	dir := t.TempDir()
	for _, line := range []string{"one", "two"} {
		id := run(t, dir, "echo "+line+"; sleep 60")
		awaitLine(t, filepath.Join(dir, "log"), line)
		if err := id.Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"log": "two", "log.previous": "one"} {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(f).ReadString('\n')
		if err != nil || line != want+"\n" {
			t.Errorf("%s: %q, %v, want %q", file, line, err, want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
