package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// devregistry is a running bin/devregistry with its fake of Azure.
type devregistry struct {
	t         *testing.T
	Registry  string            `json:"registry"`
	CA        string            `json:"ca"`
	Control   string            `json:"control"`
	Endpoints map[string]string `json:"endpoints"`
	Env       map[string]string `json:"env"`
}

// web keeps no connections, which would outlive their test.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// startDevregistry starts it, with tokens of the registry that live for life,
// and takes it down with the test. Nothing on this machine configures an
// identity.
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
	cmd := exec.Command(binary, "-auth", "cloud", "-cloud", "azure", "-cloud-life", life)
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
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		for _, prefix := range []string{"AZURE_", "IDENTITY_", "MSI_", "IMDS_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "") // restores it, too
			}
		}
	}
	return d
}

// file is the path of a file that the fake wrote.
func (d *devregistry) file(name string) string {
	return filepath.Join(d.Env["DEVREGISTRY_AZURE_DIR"], name)
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

// config is a configuration that leads to the fake, completed with more.
func (d *devregistry) config(more values) values {
	c := values{"endpoint": "http://" + d.Registry, "authority_host": d.Endpoints["azure"], "ca_file": d.CA}
	maps.Copy(c, more)
	return c
}

// principal is the configuration of the application with its secret.
func (d *devregistry) principal() values {
	return d.config(values{
		"tenant_id": d.Env["DEVREGISTRY_AZURE_TENANT"], "client_id": d.Env["DEVREGISTRY_AZURE_CLIENT"],
		"client_secret": d.Env["DEVREGISTRY_AZURE_SECRET"],
	})
}

// opens reports whether the registry gives an access token for the refresh
// token, which it takes then.
func (d *devregistry) opens(c registry.Credential) bool {
	d.t.Helper()
	form := url.Values{
		"grant_type": {"refresh_token"}, "service": {image.Host}, "scope": {"repository:shop/api:pull"},
		"refresh_token": {c.IdentityToken.Reveal()},
	}
	resp, err := web.PostForm("http://"+d.Registry+"/oauth2/token", form)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		d.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return false
	}
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.Registry+"/v2/shop/api/tags/list", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+answer.Token)
	status, text := d.do(req)
	if status != http.StatusNotFound { // there is no such repository, which only those learn who may read it
		d.t.Fatalf("with an access token: %d %s", status, text)
	}
	return true
}

// client tells whose refresh token it is.
func clientOf(t *testing.T, c registry.Credential) string {
	t.Helper()
	parts := strings.Split(c.IdentityToken.Reveal(), ".")
	if len(parts) != 3 {
		t.Fatal("the refresh token is not a JSON web token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.Subject
}

// redirect leads the fixed address of the metadata service to the fake.
type redirect struct {
	base http.RoundTripper
	to   string // host:port
}

func (d *devregistry) redirect() func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		return redirect{base: base, to: strings.TrimPrefix(d.Endpoints["azure-imds"], "http://")}
	}
}

func (r redirect) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "169.254.169.254" {
		req = req.Clone(req.Context())
		req.URL.Host, req.Host = r.to, r.to
	}
	return r.base.RoundTrip(req)
}

// push makes a repository with the tags v1 to vN of one image.
func (d *devregistry) push(repository string, n int) {
	d.t.Helper()
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	d.send(http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest(config), "application/octet-stream", config)
	manifest, err := json.Marshal(values{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []any{},
		"config": values{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.send(http.MethodPut, "/v2/"+repository+"/manifests/v1", "application/vnd.oci.image.manifest.v1+json", manifest)
	var tags []string
	for i := 2; i <= n; i++ {
		tags = append(tags, fmt.Sprintf("v%d", i))
	}
	body, err := json.Marshal(values{"repository": repository, "from": "v1", "tags": tags})
	if err != nil {
		d.t.Fatal(err)
	}
	if len(tags) > 0 {
		d.send(http.MethodPost, "/tags", "application/json", body)
	}
}

// send sends a request to the control API, which must succeed. An upload is
// finished where it leads.
func (d *devregistry) send(method, path, contentType string, body []byte) {
	d.t.Helper()
	target := d.Control + path
	for range 2 {
		req, err := http.NewRequestWithContext(d.t.Context(), method, target, bytes.NewReader(body))
		if err != nil {
			d.t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		resp, err := web.Do(req)
		if err != nil {
			d.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode >= 300 {
			d.t.Fatalf("%s %s: %d %s %v", method, target, resp.StatusCode, text, err)
		}
		if resp.StatusCode != http.StatusAccepted {
			return
		}
		to, err := resp.Location()
		if err != nil {
			d.t.Fatal(err)
		}
		q := to.Query()
		q.Set("digest", digest(body))
		to.RawQuery = q.Encode()
		method, target = http.MethodPut, to.String()
	}
}

func digest(b []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b))
}

// requests counts those that were made since the last call, by path.
func (d *devregistry) requests() map[string]int {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, d.Control+"/requests", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	status, text := d.do(req)
	var entries []struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal([]byte(text), &entries); err != nil || status != http.StatusOK {
		d.t.Fatalf("requests: %d %s", status, text)
	}
	out := map[string]int{}
	for _, e := range entries {
		out[e.Path]++
	}
	if req, err = http.NewRequestWithContext(d.t.Context(), http.MethodDelete, d.Control+"/requests", nil); err != nil {
		d.t.Fatal(err)
	}
	d.do(req)
	return out
}
