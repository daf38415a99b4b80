// Package registrytest gives tests a real registry: bin/devregistry, driven
// through its control API, and images of every kind to fill it with. Registries
// run side by side, each on ports of its own; Start takes some milliseconds,
// and pushing a thousand images less than a second.
//
// Images go to the registry behind its front: pushing needs no credentials, is
// not recorded and meets no faults and limits.
package registrytest

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Options are what a registry is started with. The zero value is a registry
// for everybody, on plain http.
type Options struct {
	Auth      string   // none (default), basic, token or cloud
	Users     []User   // see Registry.SetUsers
	TLS       bool     // https, with a certificate of CA
	Dialect   string   // listing API: quay, harbor, dockerhub or google
	Clouds    []string // fakes: aws, google, azure
	TokenLife time.Duration
	CloudLife time.Duration
	Data      string // directory of the images; empty: in memory
}

// Registry is a registry that runs until the test ends. Its methods may be
// called concurrently; they fail the test if the registry does not answer.
type Registry struct {
	Host      string            // host:port, as in an image reference
	CA        string            // path of the authority's certificate, for TLS
	Endpoints map[string]string // URLs of the clouds' servers by name
	Env       map[string]string // with which the clouds' SDKs find them

	t       testing.TB
	tls     bool
	control string // URL
	client  *http.Client
}

// Start starts a registry. It skips the test if bin/devregistry is not there.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	cmd := exec.Command(binary(t), o.args()...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("start devregistry: %v", err)
	}
	r := &Registry{t: t, tls: o.TLS, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		_ = stdin.Close() // it ends by this
		if err := cmd.Wait(); err != nil {
			t.Errorf("devregistry: %v", err)
		}
		if stderr.Len() > 0 {
			t.Logf("devregistry: %s", &stderr)
		}
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("devregistry said nothing: %v", err)
	}
	r.parse(line)
	if len(o.Users) > 0 {
		r.SetUsers(o.Users...)
	}
	return r
}

func (o Options) args() []string {
	var args []string
	for flag, value := range map[string]string{
		"auth": o.Auth, "dialect": o.Dialect, "cloud": strings.Join(o.Clouds, ","), "data": o.Data,
		"token-life": duration(o.TokenLife), "cloud-life": duration(o.CloudLife),
	} {
		if value != "" {
			args = append(args, "-"+flag+"="+value)
		}
	}
	if o.TLS {
		args = append(args, "-tls")
	}
	return args
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (r *Registry) parse(line []byte) {
	r.t.Helper()
	var ready struct {
		Registry  string            `json:"registry"`
		CA        string            `json:"ca"`
		Control   string            `json:"control"`
		Endpoints map[string]string `json:"endpoints"`
		Env       map[string]string `json:"env"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		r.t.Fatalf("devregistry said %q: %v", line, err)
	}
	r.Host, r.CA, r.control = ready.Registry, ready.CA, ready.Control
	r.Endpoints, r.Env = ready.Endpoints, ready.Env
}

// URL is where the registry is, without a path.
func (r *Registry) URL() string {
	if r.tls {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Pool is what a TLS client has to trust.
func (r *Registry) Pool() *x509.CertPool {
	r.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(r.CAPEM()) {
		r.t.Fatalf("%s holds no certificate", r.CA)
	}
	return pool
}

// CAPEM is the authority's certificate in PEM form.
func (r *Registry) CAPEM() []byte {
	r.t.Helper()
	pem, err := os.ReadFile(r.CA)
	if err != nil {
		r.t.Fatal(err)
	}
	return pem
}

// binary finds the program in $SLUICE_TEST_BIN, or else in the repository's
// bin directory.
func binary(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SLUICE_TEST_BIN")
	if dir == "" {
		dir = filepath.Join(repository(t), "bin")
	}
	path := filepath.Join(dir, "devregistry")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: make devregistry", filepath.Join(filepath.Base(dir), "devregistry"))
	}
	return path
}

// repository finds the directory of the workspace, above that of the test.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("needs bin/devregistry, and this test runs outside of the repository: set SLUICE_TEST_BIN")
		}
		dir = parent
	}
}

// call makes a request to the control API. It decodes the answer into out,
// unless that is nil.
func (r *Registry) call(method, path string, in, out any) error {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(json.NewEncoder(writer).Encode(in)) }() // ends when the request has ended
	defer reader.Close()
	req, err := http.NewRequest(method, r.control+path, reader)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		message, err := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s%w", resp.Status, message, err)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

func (r *Registry) must(method, path string, in, out any) {
	r.t.Helper()
	if err := r.call(method, path, in, out); err != nil {
		r.t.Fatalf("devregistry: %s %s: %v", method, path, err)
	}
}
