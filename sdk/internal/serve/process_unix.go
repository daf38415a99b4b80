//go:build unix

package serve

import (
	"errors"
	"os"
	"syscall"
)

// duplicate opens descriptor fd under another number, not inherited by
// children.
func duplicate(fd int, name string) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dup, err := syscall.Dup(fd)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(dup)
	return os.NewFile(uintptr(dup), name), nil
}

// openLifeline takes over an inherited descriptor, so that children do not
// inherit it in turn.
func openLifeline(fd int) (*os.File, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFIFO && st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, errors.New("it is not a pipe")
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "lifeline"), nil
}
