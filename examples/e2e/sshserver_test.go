package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// sshServer is a running sshd that lets in who has the key.
type sshServer struct {
	user, address string
	key           string // file
	knownHosts    string
}

// url is that of an absolute path.
func (s sshServer) url(path string) string { return "ssh://" + s.user + "@" + s.address + path }

// sshServer starts one, which ends with the test. The test skips where there is
// no sshd.
func (w *world) sshServer() sshServer {
	w.t.Helper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		w.t.Skip("no /usr/sbin/sshd: install the package openssh-server")
	}
	if os.Geteuid() == 0 { // then sshd insists on it
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			w.t.Skipf("sshd needs /run/sshd: %v", err)
		}
	}
	dir := filepath.Join(w.dir, "ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	s := sshServer{user: strings.TrimSpace(w.must("id", "-un")), key: filepath.Join(dir, "id")}
	hostKey := filepath.Join(dir, "host")
	for _, file := range []string{s.key, hostKey} {
		w.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file)
	}
	args := []string{"-D", "-e", "-f", "/dev/null"}
	for _, option := range []string{
		"HostKey=" + hostKey, "AuthorizedKeysFile=" + s.key + ".pub", "StrictModes=no", "UsePAM=no", "PasswordAuthentication=no",
		"KbdInteractiveAuthentication=no", "PermitRootLogin=prohibit-password", "PidFile=none", "AcceptEnv=GIT_PROTOCOL",
	} {
		args = append(args, "-o", option)
	}
	s.address = w.serveSSH(sshd, args)
	public, err := os.ReadFile(hostKey + ".pub")
	if err != nil {
		w.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.address)
	s.knownHosts = fmt.Sprintf("[%s]:%s %s", host, port, public)
	return s
}

// serveSSH runs sshd on a port that was free a moment ago, and tries another
// one if somebody was faster. It returns the address.
func (w *world) serveSSH(sshd string, args []string) string {
	w.t.Helper()
	var said []string
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		cmd := exec.Command(sshd, append(args, "-o", "ListenAddress="+address)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		stderr, err := cmd.StderrPipe()
		if err != nil {
			w.t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if said = append(said, lines.Text()); !strings.Contains(lines.Text(), "Server listening") {
				continue
			}
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				for lines.Scan() { // sshd must not block on its log
				}
			}()
			w.t.Cleanup(func() {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				<-drained
				_ = cmd.Wait()
			})
			return address
		}
		_ = cmd.Wait()
	}
	w.t.Fatalf("sshd does not start: %s", strings.Join(said, "\n"))
	return ""
}
