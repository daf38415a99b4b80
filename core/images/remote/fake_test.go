package remote_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gitops/sluice/core/credentials"
)

// oddRegistry is a server for what a right registry does not do.
type oddRegistry struct {
	*httptest.Server
	*http.ServeMux

	mu   sync.Mutex
	seen []string // "METHOD path authorization"
}

func newOddRegistry(t *testing.T) *oddRegistry {
	o := &oddRegistry{ServeMux: http.NewServeMux()}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *oddRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.seen = append(o.seen, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")))
	o.mu.Unlock()
	o.ServeMux.ServeHTTP(w, r)
}

// requests returns what was asked since the last call.
func (o *oddRegistry) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := o.seen
	o.seen = nil
	return seen
}

func (o *oddRegistry) host() string { return strings.TrimPrefix(o.URL, "http://") }

func (o *oddRegistry) repo() credentials.Request {
	return credentials.Request{Host: o.host(), Repository: "team/app"}
}

// body answers with a body and headers given as name, value, name, value.
func body(status int, text string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text)) // a client that has gone sees it
	}
}

func digestOf(content string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) }

// image serves a manifest by tag and its config.
func (o *oddRegistry) image(tag, mediaType, manifest, config string) {
	o.Handle("/v2/team/app/manifests/"+tag, body(200, manifest, "Content-Type", mediaType, "Docker-Content-Digest", digestOf(manifest)))
	if config != "" {
		o.Handle("/v2/team/app/blobs/"+digestOf(config), body(200, config))
	}
}
