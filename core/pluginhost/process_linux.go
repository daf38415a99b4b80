package pluginhost

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	goplugin "github.com/hashicorp/go-plugin"

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
		if !errors.Is(err, unix.EINTR) {
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

// killStrays kills what the plugins of a dead host started and left behind:
// their own parents are gone, but their environment still names the socket
// directory, which is below dir.
func killStrays(dir string) {
	mark := []byte("\x00" + goplugin.EnvUnixSocketDir + "=" + dir + "/")
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is well-formed
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, err := os.FindProcess(pid) // from here on it is this very process
		if err != nil {
			continue
		}
		env, err := os.ReadFile(path)
		if err == nil && bytes.Contains(append([]byte{0}, env...), mark) {
			_ = p.Kill() // it may have ended meanwhile
		}
		_ = p.Release() // cannot fail
	}
}
