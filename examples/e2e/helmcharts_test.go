package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// chart is a Helm chart.
type chart struct {
	name, version string
	files         map[string]string // by path in the chart's directory
}

// showValues is a template of one ConfigMap by the release's name, which shows
// the chart's version and the values.
const showValues = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  chart: {{ .Chart.Name }}-{{ .Chart.Version }}
  values: {{ .Values | toJson | quote }}
`

// newChart is a chart of one ConfigMap (showValues) with more files, or other
// contents of these: Chart.yaml, values.yaml, templates/config.yaml. An empty
// text leaves a file out.
func newChart(name, version string, more map[string]string) chart {
	c := chart{name, version, map[string]string{
		"Chart.yaml":            fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: app-%s\n", name, version, version),
		"values.yaml":           "greeting: hello\n",
		"templates/config.yaml": showValues,
	}}
	maps.Copy(c.files, more)
	maps.DeleteFunc(c.files, func(_, text string) bool { return text == "" })
	return c
}

// under are the chart's files for a repository, with its directory.
func (c chart) under(dir string) map[string]string {
	files := map[string]string{}
	for path, text := range c.files {
		files[dir+"/"+path] = text
	}
	return files
}

// archive is the chart as `helm package` makes it. Equal charts are equal bytes.
func (c chart) archive(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	tape := tar.NewWriter(zip)
	for _, path := range slices.Sorted(maps.Keys(c.files)) {
		header := &tar.Header{Name: c.name + "/" + path, Mode: 0o644, Size: int64(len(c.files[path])), ModTime: epoch}
		if err := tape.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := tape.Write([]byte(c.files[path])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tape.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// realChart is a chart of a public project that lies beside the checkout; the
// test skips where it does not.
func (w *world) realChart(repository, path string) chart {
	w.t.Helper()
	dir, err := filepath.Abs(filepath.Join("../../../shared/data", repository, path))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		w.t.Skipf("needs the repository %s beside the checkout", repository)
	}
	c := chart{name: filepath.Base(path), files: map[string]string{}}
	for _, file := range strings.Fields(w.must("find", dir, "-type", "f")) {
		text, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		c.files[strings.TrimPrefix(file, dir+"/")] = string(text)
	}
	for line := range strings.Lines(c.files["Chart.yaml"]) {
		if version, ok := strings.CutPrefix(line, "version: "); ok {
			c.version = strings.TrimSpace(version)
		}
	}
	return c
}

// at is the chart in another version.
func (c chart) at(version string) chart {
	files := maps.Clone(c.files)
	files["Chart.yaml"] = strings.Replace(files["Chart.yaml"], "version: "+c.version, "version: "+version, 1)
	return chart{c.name, version, files}
}

// chartServer is a chart repository over TLS, whose certificate only those
// trust who have its CA.
type chartServer struct {
	t   *testing.T
	URL string // with a slash at its end
	CA  string // file

	mu      sync.Mutex
	index   string
	charts  map[string][]byte // archives, by file name
	entries map[string]string // of the index: versions, newest first, by chart
	user    string            // who may read, and the password; empty: everybody
	pass    string
	asked   map[string]int // answers with a body, by path
}

func (w *world) chartServer(charts ...chart) *chartServer {
	w.t.Helper()
	s := &chartServer{t: w.t, charts: map[string][]byte{}, entries: map[string]string{}, asked: map[string]int{}}
	srv := httptest.NewTLSServer(s)
	w.t.Cleanup(srv.Close)
	s.URL, s.CA = srv.URL+"/", filepath.Join(w.dir, "charts-ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(s.CA, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	s.publish(charts...)
	return s
}

// publish adds charts to the repository.
func (s *chartServer) publish(charts ...chart) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range charts {
		file, archive := c.name+"-"+c.version+".tgz", c.archive(s.t)
		sum := sha256.Sum256(archive)
		s.charts[file] = archive
		s.entries[c.name] = fmt.Sprintf("  - apiVersion: v2\n    name: %s\n    version: %s\n    created: %s\n    digest: %s\n    urls:\n    - archives/%s\n",
			c.name, c.version, epoch.Format(time.RFC3339), hex.EncodeToString(sum[:]), file) + s.entries[c.name]
	}
	s.reindex("")
}

// pad adds as many bytes of charts that nobody uses to the index.
func (s *chartServer) pad(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "  other-%d:\n", i/10)
		for j := range 10 {
			fmt.Fprintf(&b, "  - apiVersion: v2\n    name: other-%d\n    version: 1.%d.0\n    description: %s\n    digest: %064x\n    urls:\n    - archives/other-%d-1.%d.0.tgz\n",
				i/10, j, strings.Repeat("lorem ipsum ", 20), i, i/10, j)
		}
		i += 9
	}
	s.reindex(b.String())
}

func (s *chartServer) reindex(more string) {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nentries:\n")
	for _, name := range slices.Sorted(maps.Keys(s.entries)) {
		b.WriteString("  " + name + ":\n" + s.entries[name])
	}
	b.WriteString(more)
	s.index = b.String() + "generated: " + epoch.Format(time.RFC3339) + "\n"
}

// login makes the repository ask for a password.
func (s *chartServer) login(user, pass string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.pass = user, pass
}

// count tells how often a path was answered with its content, "index.yaml" for
// example: "not modified" does not count.
func (s *chartServer) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked["/"+path]
}

// ServeHTTP implements http.Handler.
func (s *chartServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, pass, _ := r.BasicAuth(); s.user != "" && (user != s.user || pass != s.pass) {
		w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	body, ok := s.charts[strings.TrimPrefix(r.URL.Path, "/archives/")]
	if r.URL.Path == "/index.yaml" {
		body, ok = []byte(s.index), true
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	tag := `"` + digest(body) + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") != tag {
		s.asked[r.URL.Path]++
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// pushChart stores a chart as `helm push` does.
func (r *registry) pushChart(repository string, charts ...chart) {
	r.t.Helper()
	var blobs [][]byte
	var manifests []map[string]any
	for _, c := range charts {
		archive := c.archive(r.t)
		config := asJSON(map[string]any{"apiVersion": "v2", "name": c.name, "version": c.version})
		blobs = append(blobs, archive, config)
		manifests = append(manifests, map[string]any{
			"media_type": "application/vnd.oci.image.manifest.v1+json", "tags": []string{c.version},
			"body": asJSON(map[string]any{
				"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
				"config": descriptor("application/vnd.cncf.helm.config.v1+json", config),
				"layers": []any{descriptor("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive)},
			}),
		})
	}
	r.control(http.MethodPost, "/content", map[string]any{"repository": repository, "blobs": blobs, "manifests": manifests}, nil)
}
