//go:build unix && !linux

package remote

import (
	"os/exec"
	"syscall"
)

// ownGroup puts cmd into a process group of its own, which a cancelled
// context kills as a whole.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
