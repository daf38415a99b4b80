//go:build unix && !linux

package pluginhost

import (
	"os/exec"
	"syscall"
)

// command runs exe by its path. Only Linux can run an open file; elsewhere
// the plugin directory must not be writable by others.
func command(exe *executable, args ...string) *exec.Cmd {
	return exec.Command(exe.path, args...)
}

// processAttributes knows no parent-death signal: the lifeline does its work.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// awaitExit cannot wait without reaping here.
func awaitExit(cmd *exec.Cmd) { _ = cmd.Wait() }
