// Package process runs programs that outlive the command that started them,
// and finds them again without ever mistaking another process for one of them.
//
// A pid alone does not name a process: the system gives it out again. An
// Identity is the pid together with the moment the process was started, and
// every function here acts only when both agree.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// pollInterval is how often Stop looks whether a process is gone. The processes
// are usually not children of the caller, so that waiting for them is not possible.
const pollInterval = 10 * time.Millisecond

// gate is the program that becomes the wanted program once it reads a line.
// When the pipe is closed instead, since the starter died before it had
// recorded the process, it ends: no process ever runs that nobody knows of.
const gate = `read -r _ && exec "$@" </dev/null`

// Identity names one process. The zero value names none.
type Identity struct {
	PID int `json:"pid"`
	// Start tells processes apart that had the same pid one after the other,
	// also across a reboot. It is opaque.
	Start string `json:"start"`
}

// Command is a program to start.
type Command struct {
	Path string   // of the program
	Args []string // without the program's name
	Dir  string   // the working directory
	Env  []string // the whole environment, as KEY=VALUE
	Log  string   // the file that gets stdout and stderr; an older one is kept as Log.previous
}

// Start runs c in a session of its own, so that neither the end of the caller
// nor a Ctrl-C in its terminal reaches it. record must store the identity
// durably: the program runs only after record returned nil.
func Start(c Command, record func(Identity) error) error {
	if _, err := exec.LookPath(c.Path); err != nil {
		return err
	}
	log, err := openLog(c.Log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // The program has its own descriptor.

	cmd := exec.Command("/bin/sh", append([]string{"-c", gate, "sh", c.Path}, c.Args...)...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	if err := open(cmd.Process.Pid, pipe, record); err != nil {
		_ = cmd.Wait() // The gate ends by itself: its pipe is closed.
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	return cmd.Process.Release()
}

// open records the process that waits at the gate and lets it through.
func open(pid int, pipe io.WriteCloser, record func(Identity) error) error {
	defer func() { _ = pipe.Close() }() // Closing is the message; it cannot fail on a pipe.
	start, running := startOf(pid)
	if !running {
		return errors.New("the process ended at once")
	}
	if err := record(Identity{PID: pid, Start: start}); err != nil {
		return err
	}
	_, err := pipe.Write([]byte("go\n"))
	return err
}

func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".previous"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// Alive reports whether the process still runs. A process that ended and was
// not yet collected by its parent does not.
func (id Identity) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	start, running := startOf(id.PID)
	return running && start == id.Start
}

// Signal sends sig to the process and reports whether it was there to get it.
func (id Identity) Signal(sig os.Signal) bool {
	if id.PID <= 0 {
		return false
	}
	// On Linux the handle is a pidfd: what is verified next is what gets the signal.
	p, err := os.FindProcess(id.PID)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }() // Only frees the handle.
	return id.Alive() && p.Signal(sig) == nil
}

// Stop asks the process to end, kills it when it still runs after grace, and
// returns when it is gone. A grace of zero kills at once. It returns an error
// only when ctx ends first.
func (id Identity) Stop(ctx context.Context, grace time.Duration) error {
	if grace > 0 && id.Signal(syscall.SIGTERM) {
		graceful, cancel := context.WithTimeout(ctx, grace)
		err := id.waitGone(graceful)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	id.Signal(syscall.SIGKILL)
	return id.waitGone(ctx)
}

func (id Identity) waitGone(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("process %d still runs: %w", id.PID, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}
