package charts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

func TestScan(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want map[string]string // chart: what stands there
	}{
		"as helm writes it": {"apiVersion: v1\nentries:\n  a:\n  - version: 1.0.0\n  b:\n  - version: 2.0.0\n    description: |\n      x:\n\n      y\ngenerated: now\n",
			map[string]string{"a": "  a:\n  - version: 1.0.0\n", "b": "  b:\n  - version: 2.0.0\n    description: |\n      x:\n\n      y\n"}},
		"lists indented, names quoted": {"entries:\n    \"a\":\n        - version: 1.0.0\n    # b:\n    'c':\n        - version: 2.0.0\n",
			map[string]string{"a": "    \"a\":\n        - version: 1.0.0\n    # b:\n", "c": "    'c':\n        - version: 2.0.0\n"}},
		"entries first, CRLF": {"entries:\r\n  a:\r\n  - version: 1.0.0\r\napiVersion: v1\r\n", map[string]string{"a": "  a:\r\n  - version: 1.0.0\r\n"}},
		"none":                {"apiVersion: v1\nentries: {}\n", map[string]string{}},
		"JSON":                {`{"apiVersion": "v1", "x": {"entries": 1}, "entries": {"a": [{"version": "1.0.0"}], "b" : []}, "z": 1}`, map[string]string{"a": `[{"version": "1.0.0"}]`, "b": "[]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries, err := scan(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for chart, at := range entries {
				got[chart] = tt.text[at.from : at.from+at.length]
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, text := range []string{"", "{", `{"entries": []}`, "a: 1\n", "entries: {a: []}\n", "entries:\n  a\n"} {
		if entries, err := scan(strings.NewReader(text)); err == nil {
			t.Errorf("%q has the entries %v", text, entries)
		}
	}
}

// FuzzScan: an index that a YAML library understands, and that is written as
// that library writes, is scanned to the same charts.
func FuzzScan(f *testing.F) {
	f.Add("web", "a: b\nc", "1.0.0")
	f.Fuzz(func(t *testing.T, chart, description, version string) {
		if strings.ContainsAny(chart, "\"'\\:#\n\r\t ") || chart == "" || !json.Valid([]byte(fmt.Sprintf("%q", chart))) {
			t.Skip("no chart has such a name")
		}
		index := map[string]any{"entries": map[string]any{chart: []any{map[string]any{"description": description, "version": version}}, "zz": []any{}}}
		text, err := yaml.Marshal(index)
		if err != nil {
			t.Skip()
		}
		var back struct{ Entries map[string]any }
		if yaml.Unmarshal(text, &back) != nil || back.Entries[chart] == nil {
			t.Skip()
		}
		entries, err := scan(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if _, ok := entries[chart]; !ok || len(entries) != len(back.Entries) {
			t.Errorf("found %v in\n%s", entries, text)
		}
	})
}

// TestLargeIndex: one of more than 30 MB is not read into memory, which would
// allocate gigabytes.
func TestLargeIndex(t *testing.T) {
	r := newRepository(t)
	var b bytes.Buffer
	b.WriteString("apiVersion: v1\nentries:\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  chart-%d:\n", i)
		for v := range 50 {
			fmt.Fprintf(&b, "  - apiVersion: v2\n    created: \"2026-01-01T00:00:00Z\"\n    description: %s\n    digest: %064d\n    version: 1.%d.0\n    urls:\n    - https://example.com/chart-%d.tgz\n", strings.Repeat("words ", 6), v, v, i)
		}
	}
	if b.Len() < 30<<20 {
		t.Fatalf("the index has only %d bytes", b.Len())
	}
	r.put("/index.yaml", b.Bytes())
	s := store(t, "")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := s.Resolve(t.Context(), helm.ChartRef{Repository: r.URL, Name: "chart-2999", Auth: helm.Auth{CA: r.authority()}})
	if err != nil || c.Version != "1.49.0" {
		t.Fatalf("Resolve = %+v, %v", c, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 250<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}
	t.Logf("index of %d MiB, %d MiB allocated, server included", b.Len()>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
	small := store(t, "")
	small.MaxIndex = 1 << 20
	if _, err := small.Resolve(t.Context(), helm.ChartRef{Repository: r.URL, Name: "chart-1", Auth: helm.Auth{CA: r.authority()}}); err == nil || !strings.Contains(err.Error(), "larger than the 1048576 bytes") {
		t.Errorf("too large: %v", err)
	}
}

// TestTidy: the files that were not used for longest go, and an index that has
// gone is downloaded again.
func TestTidy(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("/index.yaml", []byte("entries:\n  web:\n"+r.publish(t, "web", "1.0.0", nil)))
	dir := t.TempDir()
	s := store(t, dir)
	ref := helm.ChartRef{Repository: r.URL, Name: "web", Auth: helm.Auth{CA: r.authority()}}
	resolve := func(want ...string) {
		t.Helper()
		if _, err := s.Resolve(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if got := r.seen(); !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	}
	resolve("200 /index.yaml")
	resolve()
	files := filepath.Join(dir, "index")
	list, err := os.ReadDir(files)
	if err != nil || len(list) != 2 {
		t.Fatalf("there are %v, %v", list, err)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(files, list[0].Name()), long, long); err != nil {
		t.Fatal(err)
	}
	info, err := list[1].Info()
	if err != nil {
		t.Fatal(err)
	}
	if err := tidy(files, info.Size()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(files); err != nil || len(left) != 1 || left[0].Name() != list[1].Name() {
		t.Errorf("left are %v, %v", left, err)
	}
	resolve("200 /index.yaml")
	resolve()
}
