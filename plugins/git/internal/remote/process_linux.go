package remote

import (
	"os/exec"
	"syscall"
)

// ownGroup puts cmd into a process group of its own, which a cancelled
// context kills as a whole, and ties its life to that of the plugin.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
