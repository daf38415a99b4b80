package cluster

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
)

// TestKubeconfigReplaced: a kubeconfig that gets another token and another
// authority is taken up by a client that has the old ones.
func TestKubeconfigReplaced(t *testing.T) {
	var token atomic.Value
	token.Store("one")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	right := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	wrong, _, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(token string, authority []byte) {
		t.Helper()
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: %s}}]\n",
			server.URL, base64.StdEncoding.EncodeToString(authority), token)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one", wrong)
	c, err := Connect(Options{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(c *Client) (int, error) {
		c.transport.looked = time.Time{} // as if the pause were over
		resp, err := (&http.Client{Transport: c.transport}).Get(server.URL)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if _, err := ask(c); !untrusted(err) {
		t.Fatalf("with the wrong authority: %v", err)
	}
	write("one", right)
	if code, err := ask(c); code != http.StatusOK {
		t.Fatalf("with the right authority: %d, %v", code, err)
	}
	other, err := c.As("somebody")
	if err != nil {
		t.Fatal(err)
	}
	token.Store("two")
	if code, err := ask(c); code != http.StatusUnauthorized {
		t.Errorf("with an old token: %d, %v", code, err)
	}
	write("two", right)
	for name, c := range map[string]*Client{"itself": c, "impersonating": other} {
		if code, err := ask(c); code != http.StatusOK {
			t.Errorf("%s, with the new token: %d, %v", name, code, err)
		}
	}
}

// TestRenewIsBounded: credentials that nobody replaces are not read again and
// again.
func TestRenewIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		config := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "t"}
		r, err := newRenewing(config, func() (*rest.Config, error) { reads++; return config, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if got := r.renew(r.next); got != r.next {
				t.Error("the same credentials count as new")
			}
			time.Sleep(renewPause / 5)
		}
		if reads != 2 {
			t.Errorf("read %d times in %s, want 2", reads, 2*renewPause)
		}
	})
}
