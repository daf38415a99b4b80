package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// script is the variable with which the test binary is one that runs a command.
const script = "COMMAND_TEST_SCRIPT"

func TestMain(m *testing.M) {
	if text := os.Getenv(script); text != "" {
		_, err := Run(context.Background(), Spec{Args: []string{"/bin/sh", "-c", text}, Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH")}, Timeout: time.Minute, Max: 1 << 20})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// When the process that runs a command is killed, the command goes, and so does
// what it has started.
func TestKilledWithItsParent(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "pids")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = append(os.Environ(), script+"=trap '' TERM HUP INT; (sleep 1000 & echo $$ $! > "+fifo+"; wait) & wait")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pids, err := os.ReadFile(fifo)
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	fields := strings.Fields(string(pids))
	if len(fields) != 2 {
		t.Fatalf("processes %q", pids)
	}
	for _, pid := range fields {
		wantGone(t, pid)
	}
}

func wantGone(t *testing.T, text string) {
	t.Helper()
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	for range 250 {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}
