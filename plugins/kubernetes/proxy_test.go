package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// proxy stands before the real API server: it counts requests, and answers
// some of them itself if told to.
type proxy struct {
	*httptest.Server
	mu     sync.Mutex
	counts map[string]int
	inject func(n int, w http.ResponseWriter, r *http.Request) (handled bool)
	seen   int
}

// newProxy returns a proxy and the path of a kubeconfig that leads to it.
func newProxy(t *testing.T) (*proxy, string) {
	t.Helper()
	kubeconfig := os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		t.Skipf("%s names no kubeconfig", kubeconfigVariable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{counts: map[string]int{}}
	forward := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(backend) },
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.note(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { p.CloseClientConnections(); p.Close() })
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", p.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, path
}

func (p *proxy) note(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	p.seen++
	n, inject := p.seen, p.inject
	p.counts[class(r)]++
	p.mu.Unlock()
	return inject != nil && inject(n, w, r)
}

// class sorts requests into those about one object and the others.
func class(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Get("watch") == "true":
		return "watch"
	case strings.Contains(r.URL.Path, "sluice-sync-") || strings.Contains(q.Get("labelSelector"), "sluice.dev/inventory") || r.Method == http.MethodPost:
		return "inventory"
	case q.Has("limit") && path.Base(r.URL.Path) == "pods":
		return "pods"
	case q.Has("limit"), q.Has("labelSelector"):
		return "list"
	case r.URL.Path == "/api" || r.URL.Path == "/apis":
		return "discovery"
	case r.Method == http.MethodPatch:
		return "apply"
	}
	return "object"
}

func (p *proxy) set(inject func(n int, w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inject = inject
}

// take returns the counts since the last call.
func (p *proxy) take() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	p.counts = map[string]int{}
	return counts
}

// count returns one count since the last call of take.
func (p *proxy) count(class string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[class]
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// apiStatus answers as an API server does.
func apiStatus(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected","reason":%q,"code":%d}`, reason, code)
}

// cut closes the connection without an answer.
func cut(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// impersonating changes a kubeconfig such that its user acts as another.
func impersonating(t *testing.T, kubeconfig []byte, user string) []byte {
	t.Helper()
	config, err := clientcmd.Load(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, auth := range config.AuthInfos {
		auth.Impersonate = user
	}
	out, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
