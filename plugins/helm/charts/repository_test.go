package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// archived is the archive of a chart.
func archived(t *testing.T, name, version string, files map[string]string) []byte {
	t.Helper()
	all := map[string]string{"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)}
	for file, content := range files {
		all[file] = content
	}
	var names []string
	for file := range all {
		names = append(names, file)
	}
	slices.Sort(names)
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	archive := tar.NewWriter(zipped)
	for _, file := range names {
		if err := archive.WriteHeader(&tar.Header{Name: name + "/" + file, Typeflag: tar.TypeReg, Size: int64(len(all[file])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(all[file])); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// repository is a chart repository over TLS.
type repository struct {
	*httptest.Server
	user, password string

	mu       sync.Mutex
	files    map[string][]byte
	requests []string // "304 /index.yaml"
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{files: map[string][]byte{}}
	r.Server = httptest.NewUnstartedServer(r)
	r.EnableHTTP2 = true
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := http.StatusOK
	content, ok := r.files[req.URL.Path]
	etag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	user, password, _ := req.BasicAuth()
	switch {
	case r.user != "" && (user != r.user || password != r.password):
		status = http.StatusUnauthorized
	case !ok:
		status = http.StatusNotFound
	case req.Header.Get("If-None-Match") == etag:
		status = http.StatusNotModified
	}
	w.Header().Set("ETag", etag)
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = w.Write(content)
	}
	r.requests = append(r.requests, fmt.Sprintf("%d %s", status, req.URL.Path))
}

func (r *repository) put(path string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[path] = content
}

func (r *repository) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.requests = nil }()
	return r.requests
}

// authority is what signed the server's certificate, PEM.
func (r *repository) authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}))
}

// publish adds an archive, and returns what an index says about it.
func (r *repository) publish(t *testing.T, name, version string, files map[string]string) string {
	t.Helper()
	archive := archived(t, name, version, files)
	path := fmt.Sprintf("/%s-%s.tgz", name, version)
	r.put(path, archive)
	return fmt.Sprintf("  - name: %s\n    version: %s\n    digest: %x\n    urls:\n    - %s\n", name, version, sha256.Sum256(archive), path[1:])
}

func store(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := New(Options{Dir: dir, UserAgent: "test", MaxIndex: 64 << 20, MaxChart: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestRepository(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.user, r.password = "u", "pw"
	index := "apiVersion: v1\nentries:\n  other:\n  - version: 9.0.0\n    urls: [x]\n  web:\n" +
		r.publish(t, "web", "1.0.0", nil) + r.publish(t, "web", "1.2.0", map[string]string{"values.yaml": "a: 1\n"}) +
		r.publish(t, "web", "2.0.0-rc.1", nil) + "generated: now\n"
	r.put("/index.yaml", []byte(index))
	dir := t.TempDir()
	s := store(t, dir)
	ref := helm.ChartRef{Repository: r.URL, Name: "web", Version: "^1", Auth: helm.Auth{Username: "u", Password: secret.New("pw"), CA: r.authority()}}
	c, err := s.Resolve(t.Context(), ref)
	if err != nil || c.Version != "1.2.0" || !strings.HasPrefix(c.Digest, "sha256:") {
		t.Fatalf("Resolve = %+v, %v", c, err)
	}
	for want, version := range map[string]string{"2.0.0-rc.1": ">=2.0.0-0", "1.2.0": "", "1.0.0": "1.0.0"} {
		other := ref
		other.Version = version
		if c, err := s.Resolve(t.Context(), other); err != nil || c.Version != want {
			t.Errorf("%q is %s, %v; want %s", version, c.Version, err, want)
		}
	}
	for range 2 { // the second time from the disk
		to := t.TempDir()
		if err := s.Pull(t.Context(), c, to); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(to, "values.yaml")); err != nil || string(content) != "a: 1\n" {
			t.Errorf("pulled %q, %v", content, err)
		}
	}
	if got := r.seen(); !slices.Equal(got, []string{"200 /index.yaml", "200 /web-1.2.0.tgz"}) {
		t.Errorf("requests: %v", got)
	}
	again := store(t, dir) // another process
	if _, err := again.Resolve(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := r.seen(); !slices.Equal(got, []string{"304 /index.yaml"}) {
		t.Errorf("requests of another process: %v", got)
	}
}

func TestRepositoryErrors(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("/index.yaml", []byte("entries:\n  web:\n"+r.publish(t, "web", "1.0.0", nil)+"  broken:\n  - version: 1.0.0\n    digest: 00\n    urls: [web-1.0.0.tgz]\n"))
	r.put("/html/index.yaml", []byte("<html>\n<p>sign in\n"))
	trusted := helm.Auth{CA: r.authority()}
	private := newRepository(t)
	private.user = "u"
	for name, tt := range map[string]struct {
		ref  helm.ChartRef
		want string
	}{
		"no chart":       {helm.ChartRef{Repository: r.URL, Name: "webb", Auth: trusted}, `did you mean "web"?`},
		"no version":     {helm.ChartRef{Repository: r.URL, Name: "web", Version: "^2", Auth: trusted}, "no version is ^2: there are 1.0.0"},
		"no range":       {helm.ChartRef{Repository: r.URL, Name: "web", Version: "new", Auth: trusted}, "neither a version nor a range"},
		"authority":      {helm.ChartRef{Repository: r.URL, Name: "web"}, r.URL + "/index.yaml cannot be reached: tls: failed to verify certificate"},
		"nothing there":  {helm.ChartRef{Repository: r.URL + "/x", Name: "web", Auth: trusted}, r.URL + "/x/index.yaml answers 404 Not Found"},
		"no index":       {helm.ChartRef{Repository: r.URL + "/html", Name: "web", Auth: trusted}, "is this a chart repository?"},
		"no credentials": {helm.ChartRef{Repository: private.URL, Name: "web", Auth: helm.Auth{CA: private.authority()}}, "wants credentials, and none are set"},
		"nobody":         {helm.ChartRef{Repository: "https://127.0.0.1:1/charts", Name: "web"}, "https://127.0.0.1:1/charts/index.yaml cannot be reached"},
		"mirror": {helm.ChartRef{Repository: "https://example.com/charts", Name: "web", Remotes: []helm.Remote{{Prefix: "https://example.com/", Mirror: "https://127.0.0.1:1"}}},
			"https://127.0.0.1:1/charts/index.yaml (mirror of https://example.com/charts/index.yaml) cannot be reached"},
		"scheme":    {helm.ChartRef{Repository: "ftp://x", Name: "web"}, "not ftp://"},
		"no scheme": {helm.ChartRef{Repository: "stable", Name: "web"}, "has no scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store(t, "").Resolve(t.Context(), tt.ref)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("digest", func(t *testing.T) {
		t.Parallel()
		s := store(t, "")
		c, err := s.Resolve(t.Context(), helm.ChartRef{Repository: r.URL, Name: "broken", Auth: trusted})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Pull(t.Context(), c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "the digest is not the one that was resolved") {
			t.Errorf("Pull: %v", err)
		}
	})
}

// TestMirror: a repository that cannot be reached, whose index names archives
// of a third place, both behind mirrors with credentials of their own.
func TestMirror(t *testing.T) {
	t.Parallel()
	index, archives := newRepository(t), newRepository(t)
	archives.user, archives.password = "a", "b"
	entry := archives.publish(t, "web", "1.0.0", nil)
	entry = strings.Replace(entry, "- web-1.0.0.tgz", "- https://github.invalid/releases/web-1.0.0.tgz", 1)
	index.put("/stable/index.yaml", []byte("entries:\n  web:\n"+entry))
	s := store(t, "")
	ref := helm.ChartRef{
		Repository: "https://charts.invalid/stable/", Name: "web", Auth: helm.Auth{Username: "not for mirrors", Password: secret.New("x")},
		Remotes: []helm.Remote{
			{Prefix: "https://charts.invalid/", Mirror: index.URL, Auth: helm.Auth{CA: index.authority()}},
			{Prefix: "https://github.invalid/releases", Mirror: archives.URL + "/", Auth: helm.Auth{Username: "a", Password: secret.New("b"), CA: archives.authority()}},
		},
	}
	c, err := s.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), c, t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	r := &repository{files: map[string][]byte{}}
	r.put("/index.yaml", []byte("entries:\n  web:\n  - version: 1.0.0\n    digest: 00\n    urls: [x]\n"))
	r.Server = httptest.NewUnstartedServer(r)
	r.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	cert, key := clientPair(t)
	r.TLS.ClientCAs.AppendCertsFromPEM([]byte(cert))
	r.StartTLS()
	t.Cleanup(r.Close)
	auth := helm.Auth{CA: r.authority()}
	ref := helm.ChartRef{Repository: r.URL, Name: "web", Auth: auth}
	if _, err := store(t, "").Resolve(t.Context(), ref); err == nil {
		t.Error("without a certificate it works")
	}
	ref.Auth.Cert, ref.Auth.Key = cert, secret.New(key)
	if _, err := store(t, "").Resolve(t.Context(), ref); err != nil {
		t.Error(err)
	}
}

// TestNoDigest: an old index without digests.
func TestNoDigest(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.publish(t, "web", "1.0.0", nil)
	r.put("/index.yaml", []byte("entries:\n  web:\n  - version: 1.0.0\n    urls: [web-1.0.0.tgz]\n"))
	s := store(t, "")
	ref := helm.ChartRef{Repository: r.URL, Name: "web", Auth: helm.Auth{CA: r.authority()}}
	var digests []string
	for range 2 {
		c, err := s.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, c.Digest)
	}
	if digests[0] != digests[1] || len(digests[0]) != len("sha256:")+64 {
		t.Errorf("digests %v", digests)
	}
	if got := r.seen(); !slices.Equal(got, []string{"200 /index.yaml", "200 /web-1.0.0.tgz", "304 /web-1.0.0.tgz"}) {
		t.Errorf("requests: %v", got)
	}
}
