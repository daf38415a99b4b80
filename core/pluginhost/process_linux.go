package pluginhost

import (
	"fmt"
	"io/fs"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command runs exe by its open descriptor, not by its path: the inode that
// was hashed is the inode that runs. ps shows the path.
func command(exe *executable, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: fmt.Sprintf("/proc/self/fd/%d", executableFD),
		Args: append([]string{exe.path}, args...),
	}
}

func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// awaitExit blocks until the child has ended, without reaping it.
func awaitExit(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// stateOf reads what identifies the content of a file.
func stateOf(info fs.FileInfo) (fileState, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileState{}, false
	}
	return fileState{
		dev: st.Dev, inode: st.Ino, size: st.Size,
		modified: time.Unix(st.Mtim.Unix()), set: time.Unix(st.Ctim.Unix()),
	}, true
}
