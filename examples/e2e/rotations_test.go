package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Registries of the clouds, as images name them.
var (
	amazonHosts = []string{
		"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
		"123456789012.dkr.ecr.us-east-1.amazonaws.com", "210987654321.dkr.ecr.eu-west-1.amazonaws.com",
		"210987654321.dkr.ecr.ap-southeast-2.amazonaws.com",
	}
	googleHosts = []string{"gcr.io", "eu.gcr.io", "us.gcr.io", "europe-docker.pkg.dev"}
	azureHosts  = []string{"one.azurecr.io", "two.azurecr.io", "three.azurecr.io", "four.azurecr.io", "five.azurecr.io"}
)

// clouds is a site whose images are in the registries of three clouds, all of
// which give credentials for a moment only.
type clouds struct {
	site
	amazon, google, azure *registry
	applier               string
	repo                  *repo
}

const (
	credentialLife = "2s"
	rotations      = 200 // that are waited for
)

// TestRotations scans without a pause while credentials expire every two
// seconds, and while the configuration changes: not one scan may fail.
func TestRotations(t *testing.T) {
	t.Parallel()
	s := newClouds(t)
	scans := s.scanOn()
	s.rotate(rotations / 2)
	s.config = s.world.config(s.settings(`
registry_credential "ecr" "all" {
  session_name = "declared"
}
`))
	s.eventually(time.Minute, "the configuration is taken up", func() bool { return len(s.told("reloaded")) == 1 })
	s.rotate(rotations)
	n := scans()
	refused, requests := s.refused()
	t.Logf("%d rotations during %d scans; %d of %d requests met a credential that had just expired", s.rotated(), n, refused, requests)
	if n < rotations {
		t.Errorf("only %d scans in all", n)
	}
	list := s.sluice("credentials", "list")
	for _, want := range []string{"registry_credential.ecr.all", "registry_credential.gcr.federation", "registry_credential.acr.principal"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %s:\n%s", want, list)
		}
	}
	for _, reason := range []string{"credential-failing", "credential-refused", "credential-skewed"} {
		if told := s.told(reason); len(told) > 0 {
			t.Errorf("%s: %q", reason, told)
		}
	}
	s.noCoreDumps()
	s.leaks(s.handedOut()...)
}

func newClouds(t *testing.T) *clouds {
	t.Helper()
	w := newWorld(t)
	cloud := func(name string, more ...string) *registry {
		r := w.registry(append([]string{"-auth", "cloud", "-cloud", name, "-cloud-life", credentialLife}, more...)...)
		r.push("acme/app", 0, "1.0", "1.1")
		return r
	}
	s := &clouds{site: site{world: w}, amazon: cloud("aws"), google: cloud("google", "-dialect", "google"), azure: cloud("azure")}
	files := map[string]string{}
	for i, host := range s.hosts() {
		name := fmt.Sprintf("job-%02d", i)
		files[name+".yaml"] = workload("batch/v1", "CronJob", name, "//"+host+"/acme/app:1.0", "fluxcd.io/automated=true")
	}
	s.applier, s.repo = w.only(""), w.repo("clouds", files)
	s.config = w.config(s.settings(""))
	s.start()
	s.sluice("sync", w.prefix, "--wait")
	return s
}

func (s *clouds) hosts() []string {
	return append(append(append([]string{}, amazonHosts...), googleHosts...), azureHosts...)
}

// settings is a configuration in which nothing is said about Amazon but what
// more says: it is found by itself.
func (s *clouds) settings(more string) string {
	google := func(name string) string { return filepath.Join(s.google.Env["DEVREGISTRY_GOOGLE_DIR"], name) }
	const fast = "rps = 1000\n  burst = 100"
	return s.amazon.block("*.amazonaws.com", fast) + s.google.block("gcr.io", fast) + s.google.block("*.gcr.io", fast) +
		s.google.block("*.pkg.dev", fast) + s.azure.block("*.azurecr.io", fast) +
		pluginEnv("ecr", s.amazon.Env) + pluginEnv("gcr", s.google.Env) + pluginEnv("acr", s.azure.Env) + fmt.Sprintf(`
registry_credential "gcr" "machine" { match = ["gcr.io"] }
registry_credential "gcr" "key" {
  match    = ["eu.gcr.io"]
  key_file = %q
}
registry_credential "gcr" "federation" {
  match    = ["us.gcr.io"]
  key_file = %q
}
registry_credential "gcr" "reader" {
  match    = ["*.pkg.dev"]
  key_file = %q
}
registry_credential "acr" "machine" {
  match    = ["one.azurecr.io", "two.azurecr.io", "three.azurecr.io"]
  endpoint = "http://%[4]s"
  ca_file  = %[5]q
}
registry_credential "acr" "principal" {
  endpoint      = "http://%[4]s"
  ca_file       = %[5]q
  tenant_id     = %[6]q
  client_id     = %[7]q
  client_secret = %[8]q
}
`, google("service-account.json"), google("external-account.json"), google("external-account-reader.json"), s.azure.Address, s.azure.CA,
		s.azure.Env["DEVREGISTRY_AZURE_TENANT"], s.azure.Env["DEVREGISTRY_AZURE_CLIENT"], s.azure.Env["DEVREGISTRY_AZURE_SECRET"]) + more + s.applier + oneSync(s.repo, "")
}

// pluginEnv is a plugin block with the environment that leads to a fake cloud.
func pluginEnv(name string, env map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %q {\n  env = {\n", name)
	for key, value := range env {
		if !strings.HasPrefix(key, "DEVREGISTRY_") {
			fmt.Fprintf(&b, "    %s = %q\n", key, value)
		}
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// scanOn scans everything, again and again, several times at once, until done
// is called, which tells how many repositories were scanned.
func (s *clouds) scanOn() (done func() int) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var scanners sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 3 {
		scanners.Go(func() {
			for ctx.Err() == nil {
				n, err := s.scanAll(ctx)
				if err != nil && ctx.Err() == nil {
					s.t.Errorf("a scan failed: %v", err)
				}
				mu.Lock()
				total += n
				mu.Unlock()
			}
		})
	}
	s.t.Cleanup(func() { cancel(); scanners.Wait() })
	return func() int {
		cancel()
		scanners.Wait()
		return total
	}
}

// scanAll scans everything once. It counts the repositories.
func (s *clouds) scanAll(ctx context.Context) (n int, err error) {
	body := asJSON(map[string]any{"namespace": s.prefix, "scan": true, "limit": 1})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://daemon/v1/images", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.api().Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Error    any
			Progress *struct{ Repository, Error string }
			Answer   *struct{ Images []containerImages }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return n, fmt.Errorf("%w in %s", err, lines.Bytes())
		}
		switch {
		case line.Progress != nil && line.Progress.Error != "":
			return n, fmt.Errorf("%s: %s", line.Progress.Repository, line.Progress.Error)
		case line.Progress != nil:
			n++
		case line.Answer == nil:
			return n, fmt.Errorf("%s: %s", resp.Status, lines.Bytes())
		case len(line.Answer.Images) != len(s.hosts()):
			return n, fmt.Errorf("%d images", len(line.Answer.Images))
		}
	}
	return n, lines.Err()
}

// rotate waits until so many credentials have been issued.
func (s *clouds) rotate(n int) {
	s.t.Helper()
	s.eventually(2*time.Minute, fmt.Sprintf("%d rotations", n), func() bool { return s.rotated() >= n })
}

// rotated counts the credentials for a registry that the clouds have issued,
// but the first one of each.
func (s *clouds) rotated() int {
	n := -len(s.hosts())
	for _, secret := range s.amazon.issued() {
		if secret.User == "AWS" {
			n++
		}
	}
	for _, q := range s.google.requests("cloud") {
		// The machine's, the key's, and what a federation begins with.
		if strings.HasSuffix(q.Path, "/default/token") || q.Path == "/token" || q.Path == "/v1/token" {
			n++
		}
	}
	for _, q := range s.azure.requests("cloud") {
		if q.Path == "/oauth2/exchange" {
			n++
		}
	}
	return n
}

// refused counts the requests to registries that were answered 401 though they
// had a credential.
func (s *clouds) refused() (n, of int) {
	for _, r := range []*registry{s.amazon, s.google, s.azure} {
		for _, q := range r.requests("tags", "native", "manifest-get", "blob") {
			of++
			if q.Status == http.StatusUnauthorized && q.Auth != "none" {
				n++
			}
		}
	}
	return n, of
}

// handedOut is every secret of the clouds, and those that are in files.
func (s *clouds) handedOut() []string {
	all := []string{s.azure.Env["DEVREGISTRY_AZURE_SECRET"], s.azure.Env["IDENTITY_HEADER"]}
	for _, r := range []*registry{s.amazon, s.google, s.azure} {
		for _, secret := range r.issued() {
			all = append(all, secret.Value)
		}
	}
	var key struct {
		Private string `json:"private_key"`
	}
	text, err := os.ReadFile(filepath.Join(s.google.Env["DEVREGISTRY_GOOGLE_DIR"], "service-account.json"))
	if err != nil || json.Unmarshal(text, &key) != nil {
		s.t.Fatalf("the key of the service account: %v", err)
	}
	return append(all, strings.Split(key.Private, "\n")[1])
}
