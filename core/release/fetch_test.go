package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
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
		body, err := f.fetch(t.Context(), &ValuesFrom{URL: s.URL + "/values.yaml"}, s.remotes)
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
			_, err := newTestFetcher(t).fetch(t.Context(), &ValuesFrom{URL: s.URL + tt.path, SHA256: tt.sum}, s.remotes)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter22") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if errors.Is(err, ErrNoValues) != (name == "not found") {
				t.Errorf("%v: forgiven %v", err, errors.Is(err, ErrNoValues))
			}
		})
	}
	sum := sha256.Sum256([]byte("a: 1\n"))
	if _, err := newTestFetcher(t).fetch(t.Context(), &ValuesFrom{URL: s.URL + "/values", SHA256: strings.ToUpper(hex.EncodeToString(sum[:]))}, s.remotes); err != nil {
		t.Error(err)
	}
	if _, err := newTestFetcher(t).fetch(t.Context(), &ValuesFrom{URL: s.URL + "/values"}, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
}

// A server that does not answer, or without end, is given up.
func TestFetchEnds(t *testing.T) {
	release := make(chan struct{})
	// Not even when the client has left: an answer to that may come to it before
	// its own context does.
	s := newSite(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newTestFetcher(t).fetch(ctx, &ValuesFrom{URL: s.URL}, s.remotes); !errors.Is(err, context.DeadlineExceeded) {
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
	if _, err := newTestFetcher(t).fetch(t.Context(), &ValuesFrom{URL: "https://example.com/values/x.yaml"}, remotes); err != nil {
		t.Error(err)
	}
}

func TestMirrorsAreNamed(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	_, err := newTestFetcher(t).fetch(t.Context(), &ValuesFrom{URL: "https://example.com/values.yaml"}, []helm.Remote{{Prefix: "https://example.com", Mirror: gone.URL}})
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

// What a custom resource names leads to no address that only the daemon's
// machine can reach: not by name, nor through a connection that somebody else
// has opened. A mirror may.
func TestLocalAddressesAreRefused(t *testing.T) {
	var hits atomic.Int32
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		_, _ = w.Write([]byte("a: 1\n"))
	}))
	defer local.Close()
	f := newTestFetcher(t)
	if _, err := f.fetch(t.Context(), &ValuesFrom{URL: local.URL}, nil); err != nil {
		t.Fatal(err) // of a release block
	}
	hits.Store(0)
	named := strings.Replace(local.URL, "127.0.0.1", "localhost", 1)
	for _, address := range []string{local.URL, named, "http://[::ffff:127.0.0.1]" + local.URL[len("http://127.0.0.1"):], "http://0.0.0.0" + local.URL[len("http://127.0.0.1"):], "http://169.254.169.254/latest"} {
		_, err := f.fetch(t.Context(), &ValuesFrom{URL: address, NoLocal: true}, []helm.Remote{{Prefix: local.URL}})
		if err == nil || !strings.Contains(err.Error(), "is an address of this machine or its link, which a custom resource may not read: set local_urls") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if hits.Load() > 0 {
		t.Error("the server was asked")
	}
	mirrors := []helm.Remote{{Prefix: "https://example.com", Mirror: local.URL}}
	if _, err := f.fetch(t.Context(), &ValuesFrom{URL: "https://example.com/values.yaml", NoLocal: true}, mirrors); err != nil {
		t.Error(err)
	}
}

func TestRedirectsToLocalAddressesAreRefused(t *testing.T) {
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "public.example.com" {
			http.Redirect(w, r, "http://127.0.0.1:"+r.URL.Query().Get("port"), http.StatusFound)
			return
		}
		t.Error("the local server was asked")
	}))
	defer local.Close()
	u, err := url.Parse(local.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := transport(nil, true).(*guard)
	dial := g.direct.DialContext
	g.direct.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "public.example.com:80" { // which would be elsewhere
			return (&net.Dialer{}).DialContext(ctx, network, u.Host)
		}
		return dial(ctx, network, address)
	}
	f := newTestFetcher(t)
	f.guarded = &http.Client{Transport: g, CheckRedirect: redirect}
	_, err = f.fetch(t.Context(), &ValuesFrom{URL: "http://public.example.com/?port=" + u.Port(), NoLocal: true}, nil)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1 is an address of this machine") {
		t.Error(err)
	}
}

func TestIsLocal(t *testing.T) {
	for address, want := range map[string]bool{
		"127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true, "::": true,
		"169.254.169.254": true, "fe80::1%eth0": true, "224.0.0.1": true, "ff02::1": true,
		"::127.0.0.1": true, "64:ff9b::a9fe:a9fe": true, "64:ff9b::7f00:1": true,
		"fd00:ec2::254": true, "fd00:ec2::254%eth0": true, "168.63.129.16": true, "64:ff9b::a83f:8110": true, "100.100.100.200": true, "192.0.0.192": true,
		"10.0.0.1": false, "192.0.2.1": false, "2001:db8::1": false, "64:ff9b::a00:1": false, "fd00::1": false, "168.63.129.17": false,
	} {
		if got := isLocal(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// What leaves the prefix of a mirror once a server cleans the path does not get
// there.
func TestDotSegmentsAreRefused(t *testing.T) {
	for _, path := range []string{"/public/../private", "/public/%2e%2e/private", "/public/.%2E/private", "/./a", "/public/..%2fprivate", "/public/..\\private", "/public/%252e%252e/private", "/.."} {
		_, _, err := locate("https://example.com"+path, []helm.Remote{{Prefix: "https://example.com/public/", Mirror: "https://mirror"}})
		if err == nil || !strings.Contains(err.Error(), "has . or .. in its path") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := locate("https://example.com/a..b/.c/v1...yaml?at=../x", nil); err != nil {
		t.Error(err)
	}
}
