package gittest

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Key is a fresh ssh key pair.
type Key struct {
	Private    string // OpenSSH format
	Authorized string // a line of authorized_keys
}

// NewKey makes an ed25519 key; with a passphrase it is protected.
func NewKey(t testing.TB, passphrase string) Key {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return Key{Private: string(pem.EncodeToMemory(block)), Authorized: string(ssh.MarshalAuthorizedKey(pub))}
}

// SSH is an OpenSSH server that runs as the user of the test.
type SSH struct {
	Host       string // an address, without port
	Port       string
	User       string
	KnownHosts string // the line that trusts it
	authorized string // path
	t          testing.TB
}

// NewSSH starts sshd on a free port of the loopback interface.
func NewSSH(t testing.TB, authorized ...Key) *SSH {
	t.Helper()
	NeedGit(t)
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Skip("no /usr/sbin/sshd: install the package openssh-server")
	}
	if os.Geteuid() == 0 {
		// sshd insists on it when it runs as root.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Skipf("sshd needs /run/sshd: %v", err)
		}
	}
	dir := t.TempDir()
	host := NewKey(t, "")
	s := &SSH{Host: "127.0.0.1", User: userName(t), authorized: filepath.Join(dir, "authorized_keys"), t: t}
	hostKey := filepath.Join(dir, "host_key")
	if err := os.WriteFile(hostKey, []byte(host.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Authorize(authorized...)
	config := filepath.Join(dir, "sshd_config")
	text := fmt.Sprintf("HostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPidFile none\nAcceptEnv GIT_PROTOCOL\nLogLevel VERBOSE\n", hostKey, s.authorized)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(sshd, config)
	s.KnownHosts = fmt.Sprintf("[%s]:%s %s", s.Host, s.Port, host.Authorized)
	return s
}

// serve starts sshd on a port that was free a moment ago, and tries another
// one if somebody was faster.
func (s *SSH) serve(sshd, config string) {
	s.t.Helper()
	for range 5 {
		s.Port = freePort(s.t)
		cmd := exec.Command(sshd, "-D", "-e", "-f", config, "-o", "ListenAddress="+s.Host, "-p", s.Port)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		stderr, err := cmd.StderrPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		var said []string
		for lines.Scan() {
			said = append(said, lines.Text())
			if strings.Contains(lines.Text(), "Server listening") {
				drained := make(chan struct{})
				go func() {
					defer close(drained)
					for lines.Scan() { // sshd must not block on its log
					}
				}()
				s.t.Cleanup(func() {
					_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
					<-drained
					_ = cmd.Wait()
				})
				return
			}
		}
		_ = cmd.Wait()
		s.t.Logf("sshd: %s", strings.Join(said, "\n"))
	}
	s.t.Fatal("sshd does not start")
}

// Authorize replaces the keys that may log in.
func (s *SSH) Authorize(keys ...Key) {
	s.t.Helper()
	var b strings.Builder
	for _, k := range keys {
		b.WriteString(k.Authorized)
	}
	if err := os.WriteFile(s.authorized, []byte(b.String()), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// URL is the address of the repository at an absolute path.
func (s *SSH) URL(path string) string {
	return "ssh://" + s.User + "@" + net.JoinHostPort(s.Host, s.Port) + path
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

func userName(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
