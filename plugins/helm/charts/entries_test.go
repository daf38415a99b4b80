package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// indexOf writes an index and finds its charts.
func indexOf(t testing.TB, text string) *index {
	t.Helper()
	i := &index{file: filepath.Join(t.TempDir(), "index")}
	if err := os.WriteFile(i.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := i.scan(); err != nil {
		t.Fatal(err)
	}
	return i
}

var styles = map[string]string{
	"helm": `
  - apiVersion: v2
    description: |-
      Of several lines.

      - version: 9.9.9
      version: 9.9.9
    digest: aa
    maintainers:
    - name: version
      url: https://example.com
    urls:
    - https://example.com/a.tgz
    - https://example.com/b.tgz
    version: 1.0.0
  - annotations: {version: 8, digest: no}
    version: "2.0"
    # a comment
    urls: [ https://example.com/c.tgz ]
`,
	"deeper": `
      - "version": 1.0.0
        'digest': aa
        urls:
          - https://example.com/a.tgz
      -   version: 1.1.0

          urls: [https://example.com/b.tgz]
`,
	"dash alone": `
  -
    name: web
    version: 1.0.0
    urls:
    - https://example.com/a.tgz
  -
    version: 1.1.0
`,
	"flow":       "\n  - {version: 1.0.0, digest: aa, urls: [u]}\n  - {name: web,\n     version: 1.1.0}\n",
	"no version": "\n  - name: web\n  - name: web\n",
	"folded":     "\n  - description: >\n      version: 3\n    version: >-\n      1.0.0\n    icon: \"a\n      version: 4\"\n",
	"carriage":   "\n  - version: 1.0.0\r\n    digest: aa\r\n  - version: 1.1.0\r\n",
	"empty":      "\n",
}

// TestReadYAML: the versions of a chart are read as if all of the index were
// parsed.
func TestReadYAML(t *testing.T) {
	for name, list := range styles {
		text := "apiVersion: v1\nentries:\n  web:" + list + "  worker:\n  - version: 7.0.0\n"
		var whole struct {
			Entries map[string][]entry `json:"entries"`
		}
		if err := yaml.Unmarshal([]byte(text), &whole); err != nil {
			t.Fatal(name, err)
		}
		i := indexOf(t, text)
		for range 2 { // the second time from memory
			got, err := i.read("web", i.entries["web"])
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if diff := cmp.Diff(whole.Entries["web"], got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestReadMalformed(t *testing.T) {
	for name, text := range map[string]string{
		"a map":     "entries:\n  web:\n    version: 1.0.0\n",
		"no YAML":   "entries:\n  web:\n  - version: [\n",
		"JSON":      `{"entries": {"web": {"version": "1.0.0"}}}`,
		"JSON list": `{"entries": {"web": [{"version": 1}]}}`,
	} {
		i := indexOf(t, text)
		if got, err := i.read("web", i.entries["web"]); err == nil || !strings.Contains(err.Error(), `entry of chart "web" is malformed`) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestOneChart: an index with very many versions of one chart costs memory by
// what is wanted of them.
func TestOneChart(t *testing.T) {
	const versions = 30_000
	var b strings.Builder
	b.WriteString("apiVersion: v1\nentries:\n  ghost:\n")
	description := strings.Repeat("a chart ", 24)
	for n := range versions {
		fmt.Fprintf(&b, "  - apiVersion: v2\n    created: \"2026-01-01T00:00:00Z\"\n    description: %s\n    digest: %064x\n    name: ghost\n    urls:\n    - https://charts.example.com/ghost-1.0.%d.tgz\n    version: 1.0.%d\n", description, n, n, n)
	}
	size := b.Len()
	i := indexOf(t, b.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := i.read("ghost", i.entries["ghost"])
	if err != nil || len(list) != versions || list[versions-1].Version != fmt.Sprintf("1.0.%d", versions-1) {
		t.Fatalf("%d versions, %v", len(list), err)
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > 20*uint64(size) {
		t.Errorf("%d MiB are allocated for an index of %d MiB", spent>>20, size>>20)
	} else {
		t.Logf("%d MiB are allocated for an index of %d MiB", spent>>20, size>>20)
	}
	if len(i.known) > 0 {
		t.Error("it stays in memory")
	}
}

func FuzzReadYAML(f *testing.F) {
	for _, list := range styles {
		f.Add(list)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = readYAML(strings.NewReader("  web:" + text)) // it must come to an end, without a panic
	})
}
