// Package program runs programs that give out credentials: docker's credential
// helpers and the kubelet's credential providers.
//
// A program gets nothing secret in its arguments, no environment but what it
// is given, and no more time than it may have. What it prints is treated as
// secret: errors repeat its standard error, without what also stood on its
// standard output.
package program

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	maxOutput = 1 << 20 // of standard output; more is an error
	maxErrors = 64 << 10
	// patience is how long output may still come after a program has ended or
	// was killed: somebody else may hold it open.
	patience = time.Second
)

// Spec is how to run a program.
type Spec struct {
	Command []string // the program, looked up in PATH if it has no slash, and its arguments
	Env     []string // all of its environment, "name=value"
	Hide    []string // values that are not to be in errors
	Timeout time.Duration
}

// failure is a program that has ended with a status other than 0.
type failure struct {
	program string
	status  string
	stdout  string // what the protocol makes of it decides whether it is shown
	stderr  string // clean
}

func (f *failure) Error() string {
	if f.stderr == "" {
		return fmt.Sprintf("%s: %s", f.program, f.status)
	}
	return fmt.Sprintf("%s: %s: %s", f.program, f.status, f.stderr)
}

// run runs the program with more arguments and returns what it has printed. A status
// other than 0 is a *failure. The program is gone when run returns, and so is
// all that it has started and that did not leave its process group.
func (s Spec) run(ctx context.Context, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("it has not answered in %s", s.Timeout))
	defer cancel()
	command := append(append([]string{}, s.Command...), args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = s.Env
	cmd.Stdin = strings.NewReader(stdin)
	stdout, stderr := &buffer{limit: maxOutput}, &buffer{limit: maxErrors}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = patience
	err := cmd.Run()
	if cmd.Process != nil {
		_ = cmd.Cancel() // what it has started and left behind; as a rule, there is nothing
	}
	name := command[0]
	clean := scrub(stderr.String(), append(words(stdout.String()), s.Hide...))
	switch exit, exited := errors.AsType[*exec.ExitError](err); {
	case err != nil && ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w%s", name, context.Cause(ctx), after(clean))
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s: there is no such program in the PATH of the plugin", name)
	case exited:
		return "", &failure{program: name, status: exit.String(), stdout: stdout.String(), stderr: clean}
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // the program has ended, and answered
		return "", fmt.Errorf("%s: %w", name, err)
	case stdout.cut:
		return "", fmt.Errorf("%s: it prints more than %d MiB", name, maxOutput>>20)
	}
	return stdout.String(), nil
}

func after(stderr string) string {
	if stderr == "" {
		return ""
	}
	return ": " + stderr
}

// buffer keeps what fits and takes the rest, so that no program blocks.
type buffer struct {
	strings.Builder
	limit int
	cut   bool
}

func (b *buffer) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); len(p) > room {
		b.cut = true
		_, _ = b.Builder.Write(p[:room]) // cannot fail
		return len(p), nil
	}
	return b.Builder.Write(p)
}
