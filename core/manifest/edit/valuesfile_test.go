package edit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

const (
	baseValues = `# values of all clusters
apiVersion: v1 # of nothing
kind: Deployment
metadata: { name: web, annotations: { fluxcd.io/automated: "true" } }
image: ghost:4.0
mysql:
  image: { registry: docker.io, repository: bitnami/mysql, tag: "8.0" }
sidecar:
  image:
    repository: quay.io/acme/sidecar   # stays
    tag: v1
images:
  - name: not/an-entry
    newTag: "1"
deep: { below: { image: x:1 } }
numeric: { image: redis, tag: 7 }
`
	prodValues = "mysql:\r\n  image:\r\n    tag: \"8.1\" # {\"$sluice\": \"mysql:tag\"}\r\nsidecar: {image: {pullPolicy: Always}}\r\nexporter: {image: 'acme/exporter', tag: v1}"
)

// values writes two files of values and opens them as those of one release.
func values(t *testing.T, cache *edit.Cache) *edit.Tree {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"base.yaml": baseValues, "charts/web/prod.values": prodValues} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := edit.Open(t.Context(), dir, edit.TreeOptions{
		Options: edit.Options{Values: "demo:release/web"}, Paths: []string{"base.yaml", "charts/web/prod.values"}, Cache: cache, Tree: "sha256:1"})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestValuesFiles(t *testing.T) {
	cache := edit.NewCache(1 << 20)
	found := values(t, cache).Found()
	if len(found.Problems) > 0 || len(found.Kustomize) > 0 {
		t.Errorf("problems %v, entries %v", found.Problems, found.Kustomize)
	}
	var got []string
	for _, w := range found.Workloads {
		for _, c := range w.Containers {
			got = append(got, strings.Join([]string{w.ID, w.File, c.Name, c.Image, c.Form}, " "))
		}
		if len(w.Annotations) > 0 {
			t.Errorf("%s has annotations %v", w.File, w.Annotations)
		}
	}
	want := []string{
		"demo:release/web base.yaml chart-image ghost:4.0 values",
		"demo:release/web base.yaml mysql docker.io/bitnami/mysql:8.0 values",
		"demo:release/web base.yaml numeric redis:7 values",
		"demo:release/web base.yaml sidecar quay.io/acme/sidecar:v1 values",
		"demo:release/web charts/web/prod.values exporter acme/exporter:v1 values",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if len(found.Markers) != 1 || found.Markers[0].Policy != "mysql" || found.Markers[0].File != "charts/web/prod.values" {
		t.Errorf("markers %v", found.Markers)
	}
	if again := values(t, cache).Found(); !cmp.Equal(found, again) {
		t.Errorf("from the cache: %s", cmp.Diff(found, again))
	}
}

func TestValuesFilesAreEdited(t *testing.T) {
	const id = "demo:release/web"
	changes, errs := values(t, nil).Apply(t.Context(), []edit.Edit{
		{Workload: id, Container: "chart-image", Image: "ghost:5.0", From: "ghost:4.0"},
		{Workload: id, Container: "sidecar", Image: "quay.io/acme/sidecar:v2"},
		{Workload: id, Container: "exporter", Image: "acme/exporter:v2"},
		{Marker: "mysql", Image: "bitnami/mysql:8.2"},
		{Workload: id, Container: "mysql", Image: "bitnami/mysql:9.0"},
		{Workload: id, Container: "nobody", Image: "acme/exporter:v2"},
		{Workload: id, Set: map[string]string{"sluice.dev/locked": "true"}},
	})
	var failed []string
	for _, err := range errs {
		if err != nil {
			failed = append(failed, err.Error())
		}
	}
	wantErrs := []string{
		`charts/web/prod.values:3: a part of the image of mysql stands here, and not all of it: put them together, or mark each part`,
		`nobody of demo:release/web: not found`,
		`charts/web/prod.values: demo:release/web is a release block, which has no annotations: write an image_policy about it`,
	}
	if diff := cmp.Diff(wantErrs, failed); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for _, c := range changes {
		got[c.Path] = string(c.New)
	}
	want := map[string]string{
		"base.yaml":              strings.NewReplacer("ghost:4.0", "ghost:5.0", "tag: v1\n", "tag: v2\n").Replace(baseValues),
		"charts/web/prod.values": strings.NewReplacer(`"8.1"`, `"8.2"`, "tag: v1", "tag: v2").Replace(prodValues),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
