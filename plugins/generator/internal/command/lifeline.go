package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// lifeline ends a process group when this process ends, also by a signal that
// cannot be caught. The kernel can do that for a child, but not for what the
// child has started.
type lifeline struct {
	shell *exec.Cmd
	held  *os.File
}

// hold starts a shell in the group that waits for the end of its input, which
// this process alone holds open, and kills the group then.
func hold(group int) (*lifeline, error) {
	in, held, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("watch the command: %w", err)
	}
	shell := exec.Command("/bin/sh", "-c", "read _; kill -9 0")
	shell.Stdin, shell.Dir, shell.Env = in, "/", []string{}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
	err = errors.Join(shell.Start(), in.Close())
	if err != nil {
		return nil, fmt.Errorf("watch the command: %w", errors.Join(err, held.Close()))
	}
	return &lifeline{shell, held}, nil
}

// release waits for the shell, which goes with the group.
func (l *lifeline) release() {
	_ = l.held.Close()
	_ = l.shell.Wait() // it was killed
}
