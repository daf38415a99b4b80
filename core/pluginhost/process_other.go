//go:build unix && !linux

package pluginhost

import (
	"io/fs"
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

// stateOf knows nothing here: files are hashed each time.
func stateOf(fs.FileInfo) (fileState, bool) { return fileState{}, false }

// killStrays cannot find them here.
func killStrays(string) {}
