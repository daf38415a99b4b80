package command

import "syscall"

// attributes puts the command into a process group of its own, and ends it
// with this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
