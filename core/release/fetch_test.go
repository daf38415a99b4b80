package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// site is a server over TLS, and a fetcher that knows its authority by a mirror
// block.
type site struct {
	*httptest.Server
	requests []*http.Request
	remotes  []helm.Remote
}

func newSite(t *testing.T, handle http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests = append(s.requests, r)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	s.remotes = []helm.Remote{{Prefix: s.URL, Auth: helm.Auth{CA: string(ca)}}}
	return s
}

func newTestFetcher(t *testing.T) *fetcher {
	t.Helper()
	f := newFetcher(time.Now)
	t.Cleanup(f.close)
	return f
}

func TestPagesAreAskedForWithTheirETag(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"1"`)
		_, _ = w.Write([]byte("a: 1\n"))
	})
	f := newTestFetcher(t)
	for range 3 {
		body, err := f.fetch(t.Context(), s.URL+"/values.yaml", "", s.remotes)
		if err != nil || string(body) != "a: 1\n" {
			t.Fatalf("%q, %v", body, err)
		}
	}
	if s.requests[0].Header.Get("If-None-Match") != "" || s.requests[2].Header.Get("If-None-Match") != `"1"` {
		t.Error("the ETag is not sent")
	}
}

func TestPagesAreBounded(t *testing.T) {
	f := newTestFetcher(t)
	for i := range 200 {
		f.keep(fmt.Sprint(i), &page{etag: "x", body: make([]byte, 1<<20)})
	}
	if f.size > cachedMax || len(f.pages) != cachedMax>>20 || f.pages["199"] == nil {
		t.Errorf("%d pages, %d bytes", len(f.pages), f.size)
	}
}

func TestFetchRefuses(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("a: 1\n")) }))
	defer plain.Close()
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/down":
			http.Redirect(w, r, plain.URL, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("a"), partMax+1))
		case "/error":
			w.WriteHeader(http.StatusTeapot)
		case "/values":
			_, _ = w.Write([]byte("a: 1\n"))
		default:
			http.NotFound(w, r)
		}
	})
	tests := map[string]struct{ path, sum, want string }{
		"http":      {"/down", "", "a redirect from https to http"},
		"in a ring": {"/round", "", "more than 5 redirects"},
		"large":     {"/large", "", "more than 8 MiB"},
		"status":    {"/error", "", "418 I'm a teapot"},
		"not found": {"/none?token=hunter22", "", "404 Not Found: does not exist"},
		"sum":       {"/values", "00", "the SHA-256 of what is there is "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newTestFetcher(t).fetch(t.Context(), s.URL+tt.path, tt.sum, s.remotes)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter22") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if errors.Is(err, ErrNoValues) != (name == "not found") {
				t.Errorf("%v: forgiven %v", err, errors.Is(err, ErrNoValues))
			}
		})
	}
	sum := sha256.Sum256([]byte("a: 1\n"))
	if _, err := newTestFetcher(t).fetch(t.Context(), s.URL+"/values", strings.ToUpper(hex.EncodeToString(sum[:])), s.remotes); err != nil {
		t.Error(err)
	}
	if _, err := newTestFetcher(t).fetch(t.Context(), s.URL+"/values", "", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
}

// A server that does not answer, or without end, is given up.
func TestFetchEnds(t *testing.T) {
	release := make(chan struct{})
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newTestFetcher(t).fetch(ctx, s.URL, "", s.remotes); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// Credentials go to the server that they are for.
func TestCredentialsAreNotForwarded(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("the other server gets %v", r.Header)
		}
		_, _ = w.Write([]byte("a: 1\n"))
	}))
	defer other.Close()
	moved, err := url.Parse(other.URL)
	if err != nil {
		t.Fatal(err)
	}
	moved.Host = "localhost:" + moved.Port()
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hunter22" {
			t.Errorf("the server gets %q", user)
		}
		http.Redirect(w, r, moved.String(), http.StatusFound)
	}))
	defer first.Close()
	remotes := []helm.Remote{
		{Prefix: "https://example.com", Mirror: "http://nowhere.invalid"},
		{Prefix: "https://example.com/values/", Mirror: first.URL + "/mirror/", Auth: helm.Auth{Username: "me", Password: secret.New("hunter22")}},
	}
	if _, err := newTestFetcher(t).fetch(t.Context(), "https://example.com/values/x.yaml", "", remotes); err != nil {
		t.Error(err)
	}
}

func TestMirrorsAreNamed(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	_, err := newTestFetcher(t).fetch(t.Context(), "https://example.com/values.yaml", "", []helm.Remote{{Prefix: "https://example.com", Mirror: gone.URL}})
	if err == nil || err.Error() != "its mirror "+gone.URL+"/values.yaml: 404 Not Found: does not exist" {
		t.Error(err)
	}
	for address, want := range map[string]string{
		"https://example.com/a":     "https://mirror/a",
		"https://example.com":       "https://mirror",
		"https://example.com?x":     "https://mirror?x",
		"https://example.community": "https://example.community",
	} {
		u, _, err := locate(address, []helm.Remote{{Prefix: "https://example.com/", Mirror: "https://mirror/"}})
		if err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", address, u, err)
		}
	}
}
