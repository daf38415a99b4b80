package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh/agent"
)

// session is what one run of git needs around it: a private directory with
// its configuration, a pipe that holds the password, an agent that holds the
// ssh key. Secrets are neither in files nor in arguments nor in the
// environment, but for a bearer token, which git can take from a file only.
type session struct {
	dir        string
	env        []string
	files      []*os.File // from descriptor 3 on
	knownHosts string
	agent      *keyAgent
}

func newSession(c CLI, t Target) (*session, error) {
	dir, err := privateDir()
	if err != nil {
		return nil, err
	}
	s := &session{dir: dir}
	if err := s.prepare(c, t); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// privateDir makes a directory that only this user can read. Its path is short
// enough for a socket in it, whatever TMPDIR is.
func privateDir() (string, error) {
	return os.MkdirTemp(sessionBase(), sessionPrefix+strconv.Itoa(os.Getpid())+"-")
}

const sessionPrefix = "sluice-git-" // followed by the process id

func sessionBase() string {
	const longest = 70 // of the 104 bytes that a socket's path may have everywhere
	if base := os.TempDir(); len(base) <= longest {
		return base
	}
	return "/tmp"
}

// Sweep removes the private directories of processes that were killed.
func Sweep() {
	found, err := filepath.Glob(filepath.Join(sessionBase(), sessionPrefix+"*"))
	if err != nil {
		return // the pattern is well formed, unless TMPDIR is odd
	}
	for _, dir := range found {
		id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), sessionPrefix), "-")
		pid, err := strconv.Atoi(id)
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another user's stays, and is that user's
		}
	}
}

func (s *session) prepare(c CLI, t Target) error {
	config := filepath.Join(s.dir, "gitconfig")
	if err := os.WriteFile(config, []byte(gitConfig(t)), 0o600); err != nil {
		return err
	}
	s.env = append(environment(), "HOME="+s.dir, "GIT_CONFIG_GLOBAL="+config)
	switch {
	case t.Address.Scheme == "ssh":
		s.env = append(s.env, "GIT_ALLOW_PROTOCOL=ssh")
		return s.prepareSSH(c, t)
	case t.Address.IsHTTP():
		s.env = append(s.env, "GIT_ALLOW_PROTOCOL=http:https",
			// The headers, for Retry-After; without bodies and credentials.
			"GIT_TRACE_CURL="+s.trace(), "GIT_TRACE_CURL_NO_DATA=1", "GIT_TRACE_REDACT=1")
		return s.preparePassword(t.Credentials)
	}
	s.env = append(s.env, "GIT_ALLOW_PROTOCOL=file")
	return nil
}

// trace is where git writes what it exchanges with an http server.
func (s *session) trace() string { return filepath.Join(s.dir, "trace") }

// preparePassword fills a pipe that the credential helper empties.
func (s *session) preparePassword(c Credentials) error {
	if c.Password.IsZero() {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.files = append(s.files, r)
	// A pipe takes 4 KiB at least without a reader; secrets are shorter.
	_, err = fmt.Fprintf(w, "username=%s\npassword=%s\n", c.Username, c.Password.Reveal())
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *session) prepareSSH(c CLI, t Target) error {
	var err error
	if s.knownHosts, err = writeKnownHosts(s.dir, t); err != nil {
		return err
	}
	alive := max(int(t.stall().Seconds())/3, 1)
	options := []string{
		"BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "CheckHostIP=no",
		"UserKnownHostsFile=" + s.knownHosts, "GlobalKnownHostsFile=/dev/null",
		"IdentitiesOnly=yes", "PreferredAuthentications=publickey", "ForwardAgent=no", "ControlPath=none",
		"ConnectTimeout=" + strconv.Itoa(alive*3), "ServerAliveInterval=" + strconv.Itoa(alive), "ServerAliveCountMax=3",
	}
	if key := t.Credentials.Key; key != nil {
		public := filepath.Join(s.dir, "id.pub")
		if err := os.WriteFile(public, key.authorized(), 0o600); err != nil {
			return err
		}
		socket := filepath.Join(s.dir, "agent")
		if s.agent, err = serveAgent(socket, key); err != nil {
			return err
		}
		options = append(options, "IdentityFile="+public, "IdentityAgent="+socket)
	} else {
		options = append(options, "IdentityFile=none", "IdentityAgent=none")
	}
	command := shellQuote(c.ssh) + " -F none"
	for _, o := range options {
		command += " -o " + shellQuote(o)
	}
	s.env = append(s.env, "GIT_SSH_COMMAND="+command, "GIT_SSH_VARIANT=ssh")
	return nil
}

// close removes everything; nothing of it can fail in a way that matters.
func (s *session) close() {
	if s.agent != nil {
		s.agent.close()
	}
	for _, f := range s.files {
		_ = f.Close()
	}
	_ = os.RemoveAll(s.dir)
}

// gitConfig is the whole configuration that git sees.
func gitConfig(t Target) string {
	var b strings.Builder
	put := func(section, name, value string) {
		fmt.Fprintf(&b, "[%s]\n\t%s = %s\n", section, name, configQuote(value))
	}
	put("protocol", "version", "2")
	put("safe", "directory", "*") // a file address may belong to another user
	if t.Address.Scheme != "file" {
		put("core", "hooksPath", os.DevNull) // where the server is this machine, its hooks count
	}
	put("gc", "auto", "0")
	put("fetch", "showForcedUpdates", "false")
	if !t.Address.IsHTTP() {
		return b.String()
	}
	put("http", "postBuffer", "16777216") // a push up to this size is one request with a length
	put("http", "lowSpeedLimit", "1")
	put("http", "lowSpeedTime", strconv.Itoa(max(int(t.stall().Seconds()), 1)))
	follow := "initial"
	if !t.Credentials.Password.IsZero() {
		// Bound to the origin: a redirect to another host finds no helper.
		put("credential \""+t.Address.Origin()+"\"", "helper", `!f() { test "$1" = get && cat <&3; }; f`)
	}
	if !t.Credentials.Bearer.IsZero() {
		// git would send the header to wherever it is redirected.
		follow = "false"
		put("http \""+t.Address.Origin()+"\"", "extraHeader", "Authorization: Bearer "+t.Credentials.Bearer.Reveal())
	}
	put("http", "followRedirects", follow)
	for _, f := range []struct{ name, path string }{{"sslCAInfo", t.TLS.CAFile}, {"sslCert", t.TLS.CertFile}, {"sslKey", t.TLS.KeyFile}} {
		if f.path != "" {
			put("http", f.name, f.path)
		}
	}
	return b.String()
}

func configQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// keyAgent is an ssh agent with one key, on a socket in a private directory.
type keyAgent struct {
	listener net.Listener
	running  sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool // nil when closed
}

func serveAgent(socket string, key *Key) (*keyAgent, error) {
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: key.private}); err != nil {
		return nil, fmt.Errorf("ssh key: %w", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	a := &keyAgent{listener: l, conns: map[net.Conn]bool{}}
	a.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if a.admit(conn) {
				a.running.Go(func() {
					_ = agent.ServeAgent(ring, conn) // ends with the client
					_ = conn.Close()
				})
			}
		}
	})
	return a, nil
}

// admit remembers conn, or closes it if the agent has been closed.
func (a *keyAgent) admit(conn net.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conns == nil {
		_ = conn.Close()
		return false
	}
	a.conns[conn] = true
	return true
}

func (a *keyAgent) close() {
	_ = a.listener.Close()
	a.mu.Lock()
	for conn := range a.conns {
		_ = conn.Close()
	}
	a.conns = nil
	a.mu.Unlock()
	a.running.Wait()
}
