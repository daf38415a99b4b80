package main

import (
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// TestConformance runs the SDK's suite for helms over the full wire, with a
// chart as people write them.
func TestConformance(t *testing.T) {
	kubeconfig, ns := namespace(t)
	sdktest.Helm(t, plugin(), "helm", map[string]any{"kubeconfig": kubeconfig}, shared(t, "podinfo/charts/podinfo"), ns)
}

// packed serves charts of directories from a repository over TLS, all under
// one path.
func packed(t *testing.T, path string, dirs ...string) (url, authority string) {
	t.Helper()
	files := t.TempDir()
	index := "apiVersion: v1\nentries:\n"
	for _, dir := range dirs {
		name, version := about(t, dir)
		file := pack(t, dir, files)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		index += fmt.Sprintf("  %s:\n  - version: %s\n    digest: %x\n    urls: [%s]\n", name, version, sha256.Sum256(content), filepath.Base(file))
	}
	if err := os.WriteFile(filepath.Join(files, "index.yaml"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(http.StripPrefix(path, http.FileServer(http.Dir(files))))
	t.Cleanup(s.Close)
	return s.URL + path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func about(t *testing.T, dir string) (name, version string) {
	t.Helper()
	m, err := chartutil.LoadChartfile(filepath.Join(dir, "Chart.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return m.Name, m.Version
}

// small is a chart of a name with one object.
func small(t *testing.T, name, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for file, content := range map[string]string{
		"Chart.yaml":        fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version),
		"templates/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-" + name + "\"}\n",
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestGhost: a chart of the time of Flux v1 in a tree, with a dependency in a
// repository that is long gone, behind a mirror.
func TestGhost(t *testing.T) {
	kubeconfig, ns := namespace(t)
	tree := shared(t, "flux-get-started")
	h := sdktest.New(t, plugin(), sdktest.Options{}).Helm("helm", map[string]any{"kubeconfig": kubeconfig})
	ref := helm.ChartRef{Tree: tree, Path: "charts/ghost", Remotes: []helm.Remote{{Prefix: "https://charts.helm.sh/stable", Mirror: "https://127.0.0.1:1"}}}
	_, err := h.Resolve(t.Context(), ref)
	if err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:1/index.yaml (mirror of https://charts.helm.sh/stable/index.yaml) cannot be reached") {
		t.Errorf("without a mirror: %v", err)
	}
	mirror, authority := packed(t, "/stable", small(t, "mariadb", "7.3.15"))
	ref.Remotes[0].Mirror, ref.Remotes[0].Auth.CA = mirror, authority
	if _, err := h.Resolve(t.Context(), ref); err == nil || !strings.Contains(err.Error(), "the version is the one of the lock file; the range is 7.x.x") {
		t.Errorf("without the version of the lock: %v", err)
	}
	ref.IgnoreLock = true
	rev := install(t, h, ref, ns, "ghost", `{"persistence": {"enabled": false}, "service": {"type": "ClusterIP"}, "ghostHost": "x", "mariadb": {"master": {"persistence": {"enabled": false}}}}`)
	if !strings.HasPrefix(rev.Chart, "ghost-") {
		t.Errorf("installed %+v", rev)
	}
}

// install resolves, pulls and installs a chart, over the wire.
func install(t *testing.T, h *client.Helm, ref helm.ChartRef, ns, name, values string) helm.Revision {
	t.Helper()
	c, err := h.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := h.Pull(t.Context(), c, dir); err != nil {
		t.Fatal(err)
	}
	rev, err := h.Upgrade(t.Context(), helm.Release{Ref: helm.ReleaseRef{Namespace: ns, Name: name}, Chart: dir, Values: secret.New(values), Owner: "test"}, func(helm.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// TestSecretsAreNotLogged: not in the log, whatever goes wrong.
func TestSecretsAreNotLogged(t *testing.T) {
	kubeconfig, ns := namespace(t)
	harness := sdktest.New(t, plugin(), sdktest.Options{})
	h := harness.Helm("helm", map[string]any{"kubeconfig": kubeconfig})
	install(t, h, helm.ChartRef{Tree: small(t, "web", "1.0.0"), Path: "."}, ns, "web", `{"password": "hunter2-hunter2"}`)
	r := helm.Release{Ref: helm.ReleaseRef{Namespace: ns, Name: "web"}, Chart: "/does/not/exist", Values: secret.New(`{"password": "hunter2-hunter2"}`)}
	if _, err := h.Upgrade(t.Context(), r, func(helm.Event) {}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Upgrade: %v", err)
	}
	if strings.Contains(harness.Log(), "hunter2") {
		t.Errorf("a secret stands in the log:\n%s", harness.Log())
	}
}
