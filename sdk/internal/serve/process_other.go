//go:build unix && !linux

package serve

import (
	"os"
	"syscall"
)

// replace makes descriptor to a copy of from.
func replace(from, to int) error {
	return os.NewSyscallError("dup2", syscall.Dup2(from, to))
}

// showName does nothing where processes are shown by the path of their binary.
func showName(string) {}

// harden keeps secrets in memory out of core files, best effort.
func harden() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
