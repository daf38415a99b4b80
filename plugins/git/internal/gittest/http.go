package gittest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// HTTP is a git server over http or https.
type HTTP struct {
	URL    string // of the directory of repositories, without a slash at the end
	CAFile string // with TLS: the authority that its certificate is from

	server *httptest.Server
	bytes  atomic.Int64 // on the wire, both ways
	body   atomic.Int64 // of that, without HTTP headers and encryption
	mu     sync.Mutex
	seen   []*http.Request
}

// HTTPOptions configures an HTTP server.
type HTTPOptions struct {
	TLS        bool
	ClientCert bool // with TLS: insist on a certificate, whoever it is from
	// Intercept handles a request first; true: it has answered.
	Intercept func(http.ResponseWriter, *http.Request) bool
	// Cut says whether a request is to take effect, and the connection to
	// end without an answer.
	Cut func(*http.Request) bool
}

// NewHTTP serves the repositories below root.
func NewHTTP(t testing.TB, root string, o HTTPOptions) *HTTP {
	t.Helper()
	NeedGit(t)
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Stderr: io.Discard, // it comments on what is not found
		Env:    []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent"},
	}
	if _, err := os.Stat(backend.Path); err != nil {
		t.Skipf("no git http-backend: %v", err)
	}
	s := &HTTP{}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Clone(context.WithoutCancel(r.Context())))
		s.mu.Unlock()
		if o.Intercept != nil && o.Intercept(w, r) {
			return
		}
		r.Body = countBody{r.Body, &s.body}
		w = countWriter{w, &s.body}
		h := *backend
		if p := r.Header.Get("Git-Protocol"); p != "" {
			h.Env = append(h.Env[:len(h.Env):len(h.Env)], "GIT_PROTOCOL="+p)
		}
		if o.Cut != nil && o.Cut(r) {
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	}))
	s.server.Listener = countListener{s.server.Listener, &s.bytes}
	if o.TLS {
		if o.ClientCert {
			s.server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		}
		s.server.StartTLS()
		s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
		if err := os.WriteFile(s.CAFile, block, 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	s.URL = s.server.URL
	return s
}

// Close stops the server before the test ends.
func (s *HTTP) Close() { s.server.Close() }

// Bytes counts what went over the wire, headers included, since the last call.
func (s *HTTP) Bytes() int64 { return s.bytes.Swap(0) }

// BodyBytes counts what requests and answers held since the last call.
func (s *HTTP) BodyBytes() int64 { return s.body.Swap(0) }

// Requests returns the requests since the last call.
func (s *HTTP) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// BasicAuth is an Intercept that lets only this user in.
func BasicAuth(user, password string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if u, p, ok := r.BasicAuth(); ok && u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return true
	}
}

type countBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (b countBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w countWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}

type countListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countConn{c, l.n}, nil
}

type countConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c countConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}
