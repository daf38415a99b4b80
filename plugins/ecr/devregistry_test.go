package main

import (
	"bufio"
	"bytes"
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

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// The accounts of the fake cloud, and registries of theirs.
const (
	account      = "123456789012"
	otherAccount = "210987654321"
	home         = account + ".dkr.ecr.eu-west-1.amazonaws.com"
	foreign      = otherAccount + ".dkr.ecr.eu-west-1.amazonaws.com"
	china        = account + ".dkr.ecr.cn-north-1.amazonaws.com.cn"
)

// devregistry is a running bin/devregistry with its fake of Amazon.
type devregistry struct {
	t         *testing.T
	Registry  string            `json:"registry"`
	Control   string            `json:"control"`
	Endpoints map[string]string `json:"endpoints"`
	Env       map[string]string `json:"env"`
}

// web keeps no connections, which would outlive their test.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// startDevregistry starts it, with credentials that live for life, and takes
// it down with the test. Of the environment only what names the endpoints is
// left, so that the instance's role is found.
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
	cmd := exec.Command(binary, "-auth", "cloud", "-cloud", "aws", "-cloud-life", life)
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
	clearEnvironment(t)
	for name, value := range d.Env {
		if strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value)
		}
	}
	return d
}

// clearEnvironment leaves nothing that configures the SDK.
func clearEnvironment(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
}

// in is the same for a subtest.
func (d devregistry) in(t *testing.T) *devregistry {
	d.t = t
	return &d
}

// use sets variables from those that devregistry offers with prefix in front.
func (d *devregistry) use(prefix string, names ...string) {
	d.t.Helper()
	for _, name := range names {
		value, ok := d.Env["DEVREGISTRY_"+prefix+name]
		if !ok {
			d.t.Fatalf("devregistry offers no %s", name)
		}
		d.t.Setenv(name, value)
	}
}

func (d *devregistry) useKeys() {
	d.use("", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
}

func (d *devregistry) useIRSA() {
	d.use("", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN")
}

func (d *devregistry) usePodIdentity() {
	d.use("", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
}

// knobs changes the fake of Amazon.
func (d *devregistry) knobs(v values) {
	d.t.Helper()
	d.send(http.MethodPut, "/clouds", values{"aws": v})
}

func (d *devregistry) send(method, path string, v any) {
	d.t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		d.t.Fatal(err)
	}
	if status, text := d.do(method, d.Control+path, body, nil); status != http.StatusNoContent {
		d.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
}

func (d *devregistry) do(method, address string, body []byte, change func(*http.Request)) (status int, text string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := web.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.StatusCode == http.StatusAccepted {
		return resp.StatusCode, resp.Header.Get("Location")
	}
	return resp.StatusCode, string(answer)
}

// opens reports whether the registry takes the credential.
func (d *devregistry) opens(c registry.Credential) bool {
	d.t.Helper()
	status, text := d.do(http.MethodGet, "http://"+d.Registry+"/v2/", nil, func(r *http.Request) {
		r.SetBasicAuth(c.Username, c.Password.Reveal())
	})
	if status != http.StatusOK && status != http.StatusUnauthorized {
		d.t.Fatalf("GET /v2/: %d %s", status, text)
	}
	return status == http.StatusOK
}

// configuration of every image.
const configuration = "{}"

// pushBlob puts what images refer to into a repository, behind the front.
func (d *devregistry) pushBlob(repository string) {
	d.t.Helper()
	_, location := d.do(http.MethodPost, d.Control+"/v2/"+repository+"/blobs/uploads/", nil, nil)
	if strings.HasPrefix(location, "/") {
		location = d.Control + location
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	if status, text := d.do(http.MethodPut, location+separator+"digest="+sha256Of([]byte(configuration)), []byte(configuration), nil); status != http.StatusCreated {
		d.t.Fatalf("push a blob: %d %s", status, text)
	}
}

// pushManifest makes an image that is like no other.
func (d *devregistry) pushManifest(repository, tag string) (digest string) {
	d.t.Helper()
	const kind = "application/vnd.oci.image.manifest.v1+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[],"annotations":{"repository":%q,"first":%q}}`,
		kind, sha256Of([]byte(configuration)), len(configuration), repository, tag)
	status, text := d.do(http.MethodPut, d.Control+"/v2/"+repository+"/manifests/"+tag, manifest, func(r *http.Request) {
		r.Header.Set("Content-Type", kind)
	})
	if status != http.StatusCreated {
		d.t.Fatalf("push a manifest: %d %s", status, text)
	}
	return sha256Of(manifest)
}

// push makes an image with all the tags.
func (d *devregistry) push(repository string, tags []string) (digest string) {
	d.t.Helper()
	d.pushBlob(repository)
	digest = d.pushManifest(repository, tags[0])
	if len(tags) > 1 {
		d.send(http.MethodPost, "/tags", values{"repository": repository, "from": tags[0], "tags": tags[1:]})
	}
	return digest
}

// pushMany makes n images with a tag each, and writes them down in digests.
func (d *devregistry) pushMany(repository string, n int, digests map[string]string) {
	d.t.Helper()
	d.pushBlob(repository)
	for i := range n {
		tag := fmt.Sprintf("v%d", i)
		digests[tag] = d.pushManifest(repository, tag)
	}
}
