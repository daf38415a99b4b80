package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// devregistry is a running bin/devregistry with its fake of Google.
type devregistry struct {
	t         *testing.T
	Registry  string            `json:"registry"`
	Control   string            `json:"control"`
	Endpoints map[string]string `json:"endpoints"`
	Env       map[string]string `json:"env"`
}

// web keeps no connections, which would outlive their test.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// startDevregistry starts it, with access tokens that live for life, and takes
// it down with the test. Nothing on this machine configures credentials.
func startDevregistry(t *testing.T, life string) *devregistry {
	t.Helper()
	dir := os.Getenv("SLUICE_TEST_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	binary := filepath.Join(dir, "devregistry")
	if _, err := os.Stat(binary); err != nil {
		t.Skip("needs bin/devregistry: make devregistry")
	}
	cmd := exec.Command(binary, "-auth", "cloud", "-cloud", "google", "-cloud-life", life)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		if err := cmd.Wait(); err != nil {
			t.Errorf("devregistry: %v\n%s", err, &stderr)
		}
	})
	d := &devregistry{t: t}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, d) != nil {
		t.Fatalf("devregistry does not start: %v\n%s", err, &stderr)
	}
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "GCE_METADATA_HOST"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	return d
}

// file is the path of a credential file.
func (d *devregistry) file(name string) string {
	return filepath.Join(d.Env["DEVREGISTRY_GOOGLE_DIR"], name)
}

// put sends v to the control API.
func (d *devregistry) put(path string, v any) {
	d.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPut, d.Control+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if status, text := d.do(req); status != http.StatusNoContent {
		d.t.Fatalf("PUT %s: %d %s", path, status, text)
	}
}

func (d *devregistry) do(req *http.Request) (status int, body string) {
	d.t.Helper()
	resp, err := web.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (d *devregistry) get(rawURL string, query url.Values) (status int, body string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, rawURL+"?"+query.Encode(), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.do(req)
}

// opens reports whether the registry takes the credential.
func (d *devregistry) opens(c registry.Credential) bool {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.Registry+"/v2/", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.SetBasicAuth(c.Username, c.Password.Reveal())
	status, text := d.do(req)
	if status != http.StatusOK && status != http.StatusUnauthorized {
		d.t.Fatalf("GET /v2/: %d %s", status, text)
	}
	return status == http.StatusOK
}

// account tells whose token it is.
func (d *devregistry) account(c registry.Credential) string {
	d.t.Helper()
	status, text := d.get(d.Endpoints["google"]+"/tokeninfo", url.Values{"access_token": {c.Password.Reveal()}})
	var info struct {
		Email string `json:"email"`
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil || status != http.StatusOK {
		d.t.Fatalf("tokeninfo: %d %s", status, text)
	}
	return info.Email
}

// redirect leads Google's fixed addresses to the fake.
type redirect struct {
	base *http.Transport
	to   *url.URL
}

func (d *devregistry) redirect() redirect {
	d.t.Helper()
	to, err := url.Parse(d.Endpoints["google"])
	if err != nil {
		d.t.Fatal(err)
	}
	return redirect{base: &http.Transport{DisableKeepAlives: true}, to: to}
}

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	switch req.URL.Host {
	case "oauth2.googleapis.com", "iamcredentials.googleapis.com", "169.254.169.254":
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host, req.Host = r.to.Scheme, r.to.Host, r.to.Host
	}
	return r.base.RoundTrip(req)
}
