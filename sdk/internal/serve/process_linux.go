package serve

import (
	"os"
	"syscall"
)

// replace makes descriptor to a copy of from.
func replace(from, to int) error {
	return os.NewSyscallError("dup3", syscall.Dup3(from, to, 0))
}

// harden keeps secrets in memory out of core files and away from other
// processes of the same user. It is best effort: a sandbox may forbid it.
func harden() {
	const prSetDumpable = 4
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
