package serve

import (
	"os"
	"syscall"
)

// replace makes descriptor to a copy of from.
func replace(from, to int) error {
	return os.NewSyscallError("dup3", syscall.Dup3(from, to, 0))
}

// showName makes ps, top and the like show the plugin's name: a host that runs
// the binary by its descriptor leaves them the number of that descriptor. The
// kernel keeps the first 15 bytes. It is best effort: nothing depends on it.
func showName(plugin string) {
	_ = os.WriteFile("/proc/self/comm", []byte("sluice-"+plugin), 0)
}

// harden keeps secrets in memory out of core files and away from other
// processes of the same user. It is best effort: a sandbox may forbid it.
func harden() {
	const prSetDumpable = 4
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
