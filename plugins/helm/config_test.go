package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		config map[string]any
		want   []string // path: beginning of the summary
	}{
		"least":      {map[string]any{}, nil},
		"most":       {map[string]any{"kubeconfig": "/k", "context": "c", "storage": "configmap", "max_index": 1 << 20, "max_chart": 1 << 20}, nil},
		"conflict":   {map[string]any{"in_cluster": true, "context": "c"}, []string{"in_cluster: in_cluster excludes kubeconfig and context"}},
		"storage":    {map[string]any{"storage": "sql"}, []string{`storage: storage is "sql", neither secret nor configmap`}},
		"namespaces": {map[string]any{"namespaces": []string{"a", "B"}}, []string{`namespaces[1]: "B" is not a namespace name: `}},
		"sizes":      {map[string]any{"max_index": 1}, []string{"max_index: max_index is less than 1 KiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range schema.Decode(text, new(Config)) {
				summary, _, _ := strings.Cut(d.Summary, "a lowercase RFC") // the library's words
				got = append(got, d.Path.String()+": "+summary)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Attributes {
		if a.Doc == "" {
			t.Errorf("%s has no doc", a.Name)
		}
		if !strings.Contains(string(readme), "\n| `"+a.Name+"` |") {
			t.Errorf("README.md has no row for %s", a.Name)
		}
	}
}

// pack makes the archive of a chart's directory, and returns its path.
func pack(t *testing.T, dir, to string) string {
	t.Helper()
	name, version := about(t, dir)
	file := filepath.Join(to, fmt.Sprintf("%s-%s.tgz", name, version))
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(out)
	archive := tar.NewWriter(zipped)
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, name), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := archive.AddFS(os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []interface{ Close() error }{archive, zipped, out} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return file
}
