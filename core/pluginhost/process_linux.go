package pluginhost

import (
	"fmt"
	"os/exec"
	"syscall"

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
