package charts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"helm.sh/helm/v4/pkg/registry"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// devregistry starts bin/devregistry, and returns its HOST:PORT.
func devregistry(t *testing.T, flags ...string) string {
	t.Helper()
	dir := os.Getenv("SLUICE_TEST_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "bin")
	}
	binary := filepath.Join(dir, "devregistry")
	if _, err := os.Stat(binary); err != nil {
		t.Skip("needs bin/devregistry: make devregistry")
	}
	cmd := exec.Command(binary, flags...)
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
	var said struct{ Registry string }
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &said) != nil {
		t.Fatalf("devregistry does not start: %v\n%s", err, &stderr)
	}
	return strings.TrimPrefix(strings.TrimPrefix(said.Registry, "http://"), "https://")
}

// keychain answers like the host.
type keychain struct {
	host.Services
	user, password string
	next           string // password that comes once the present one is refused
	asked          []host.CredentialRequest
}

// Credential implements host.Services.
func (k *keychain) Credential(_ context.Context, req host.CredentialRequest) (host.Credential, error) {
	k.asked = append(k.asked, req)
	if k.next != "" && req.Refused == secret.New(k.password) {
		k.password = k.next
	}
	if k.user == "" {
		return host.Credential{}, host.ErrAnonymous
	}
	return host.Credential{Username: k.user, Password: secret.New(k.password)}, nil
}

// push stores an archive as the helm command does.
func push(t *testing.T, s *Store, at, version string, archive []byte) {
	t.Helper()
	where, err := s.locate(helm.ChartRef{}, at)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.repository(helm.ChartRef{}, where, &keys{own: where.auth, host: s.Host})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	put := func(mediaType string, text []byte) ocispec.Descriptor {
		d := content.NewDescriptorFromBytes(mediaType, text)
		if err := r.Push(ctx, d, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	config := put(registry.ConfigMediaType, []byte(`{"name":"web","version":"`+version+`"}`))
	layer := put(registry.ChartLayerMediaType, archive)
	packed, err := oras.PackManifest(ctx, r, oras.PackManifestVersion1_0, registry.ConfigMediaType,
		oras.PackManifestOptions{ConfigDescriptor: &config, Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(ctx, packed, tagOf(version)); err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	at := devregistry(t, "-auth", "token", "-user", "u:pw")
	keys := &keychain{user: "u", password: "pw"}
	s := store(t, "")
	s.Host = keys
	for _, version := range []string{"1.0.0", "1.3.0+build.7", "2.0.0"} {
		push(t, s, "oci://"+at+"/charts/web", version, archived(t, "web", version, nil))
	}
	for want, ref := range map[string]helm.ChartRef{
		"1.3.0+build.7": {Repository: "oci://" + at + "/charts", Name: "web", Version: "^1"},
		"1.0.0":         {Repository: "oci://" + at + "/charts/web", Version: "1.0.0"},
		"2.0.0": {Repository: "oci://registry.invalid/charts", Name: "web",
			Remotes: []helm.Remote{{Prefix: "oci://registry.invalid", Mirror: "oci://" + at}}},
	} {
		c, err := s.Resolve(t.Context(), ref)
		if err != nil || c.Version != want || digest.Digest(c.Digest).Validate() != nil {
			t.Errorf("Resolve = %+v, %v; want %s", c, err, want)
			continue
		}
		dir := t.TempDir()
		if err := s.Pull(t.Context(), c, dir); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "Chart.yaml")); err != nil || !strings.Contains(string(text), "version: "+want) {
			t.Errorf("pulled %q, %v", text, err)
		}
	}
	if len(keys.asked) == 0 || keys.asked[0] != (host.CredentialRequest{Host: at, Repository: "charts/web"}) {
		t.Errorf("the host was asked %v", keys.asked)
	}
	if _, err := s.Resolve(t.Context(), helm.ChartRef{Repository: "oci://" + at + "/charts", Name: "web", Version: "9.9.9"}); err == nil || !strings.Contains(err.Error(), "has no version 9.9.9") {
		t.Errorf("a version that is not there: %v", err)
	}
	anonymous := store(t, "")
	if _, err := anonymous.Resolve(t.Context(), helm.ChartRef{Repository: "oci://" + at + "/charts", Name: "web"}); err == nil || !strings.Contains(err.Error(), "answers 401 Unauthorized") {
		t.Errorf("without credentials: %v", err)
	}
}

// TestRefused: the host is told what the registry has refused, and asked once
// more. If that is no better, the error says whose fault it is.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"token", "basic"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			at := devregistry(t, "-auth", scheme, "-user", "u:pw")
			k := &keychain{user: "u", password: "pw"}
			s := store(t, "")
			s.Host = k
			push(t, s, "oci://"+at+"/charts/web", "1.0.0", archived(t, "web", "1.0.0", nil))
			ref := helm.ChartRef{Repository: "oci://" + at + "/charts", Name: "web"}

			k.password, k.next = "old", "pw"
			c, err := s.Resolve(t.Context(), ref)
			if err != nil || c.Version != "1.0.0" {
				t.Fatalf("Resolve = %+v, %v", c, err)
			}
			k.password = "old"
			if err := s.Pull(t.Context(), c, t.TempDir()); err != nil {
				t.Error(err)
			}
			k.password, k.next = "old", ""
			if _, err := s.Resolve(t.Context(), ref); err == nil || !strings.Contains(err.Error(), `it does not accept what registry_credential blocks give for it, of user "u": see `+"`sluice credentials explain "+at+"/charts/web`") {
				t.Errorf("got %v", err)
			}
		})
	}
}
