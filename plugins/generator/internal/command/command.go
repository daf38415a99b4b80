// Package command runs one command of a user's in a directory of its own, and
// leaves nothing of it behind: no process of its group, however it ends.
//
// A command gets no environment but what it is given and no more time than it
// may have. When its time is up, or the caller's, the whole process group is
// killed, and output that somebody outside of it still holds open is given up.
// The group is also killed when this process is.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	maxErrors = 8 << 10 // of standard error: its end
	// patience is how long output may still come after a command has ended or
	// was killed: somebody else may hold it open.
	patience = time.Second
)

// Spec is how to run a command.
type Spec struct {
	Args    []string // the program, by its absolute path, and its arguments
	Dir     string
	Env     []string // all of it, "name=value"
	Hide    []string // values that are not to be in errors
	Timeout time.Duration
	Max     int64 // bytes of standard output; more is an error
}

// Error is a command that has failed.
type Error struct {
	Status string // "exit status 1", "it has run for 1m0s and was killed"
	Stderr string // the end of it, without what is to be hidden
	Err    error
}

func (e *Error) Error() string {
	if e.Stderr == "" {
		return e.Status
	}
	return e.Status + ": " + e.Stderr
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs the command and returns what it has printed. An error is an *Error.
func Run(ctx context.Context, s Spec) ([]byte, error) {
	runtime.LockOSThread() // the kernel kills the child when the thread ends that has started it
	defer runtime.UnlockOSThread()
	timed, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("it has run for %s and was killed", s.Timeout))
	defer cancel()
	timed, stop := context.WithCancelCause(timed)
	defer stop(nil)
	cmd := exec.CommandContext(timed, s.Args[0], s.Args[1:]...)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	stdout := &head{max: s.Max, full: func() { stop(fmt.Errorf("it prints more than %d bytes", s.Max)) }}
	stderr := &tail{max: maxErrors}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = patience
	err := runHeld(cmd)
	if timed.Err() != nil {
		err = context.Cause(timed)
	}
	if err == nil {
		return stdout.data.Bytes(), nil
	}
	status := err.Error()
	if errors.Is(err, exec.ErrWaitDelay) {
		status = "it has ended, but something that it has started goes on and may not have printed everything; wait for it"
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.String()
	}
	return nil, &Error{Status: status, Stderr: scrub(stderr.String(), s.Hide), Err: err}
}

// runHeld runs cmd, which leads a process group, and kills what it leaves
// behind in that group: also if this process is killed meanwhile.
func runHeld(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	line, holdErr := hold(cmd.Process.Pid)
	if holdErr != nil {
		_ = cmd.Cancel() // it may have ended
	}
	err := cmd.Wait()
	_ = cmd.Cancel() // as a rule, there is nothing but the lifeline
	if holdErr != nil {
		return holdErr
	}
	line.release()
	return err
}

func scrub(text string, hide []string) string {
	for _, value := range hide {
		if len(value) > 2 {
			text = strings.ReplaceAll(text, value, "(redacted)")
		}
	}
	return strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
}

// head keeps the first max bytes and says when there are more. It is nothing
// but a Writer, lest somebody fill the buffer past it.
type head struct {
	data bytes.Buffer
	max  int64
	full func()
}

func (h *head) Write(p []byte) (int, error) {
	if int64(h.data.Len()+len(p)) > h.max {
		h.full()
		return len(p), nil
	}
	return h.data.Write(p)
}

// tail keeps the last max bytes, or a little more.
type tail struct {
	data []byte
	max  int
	cut  bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if len(t.data) > 2*t.max {
		t.data = append([]byte(nil), t.data[len(t.data)-t.max:]...)
		t.cut = true
	}
	return len(p), nil
}

func (t *tail) String() string {
	data := t.data
	if len(data) > t.max {
		data, t.cut = data[len(data)-t.max:], true
	}
	if t.cut {
		return "... " + string(data)
	}
	return string(data)
}
