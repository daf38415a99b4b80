package cluster

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
)

// guarded is an API server that knows its version, and lets in who has the
// token.
func guarded(t *testing.T, token *string) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Header.Get("Authorization") != "Bearer "+*token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/version":
			_, _ = fmt.Fprint(w, `{"gitVersion": "v1.99.0"}`)
		default:
			_, _ = fmt.Fprint(w, `{"groups": []}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func kubeconfig(s *httptest.Server, user string) string {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q, "certificate-authority-data": %q}}],
		"users": [{"name": "u", "user": {%s}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`,
		s.URL, base64.StdEncoding.EncodeToString(authority), user)
}

// TestReload: what is in a kubeconfig now is used, by the next operation.
func TestReload(t *testing.T) {
	token := "one"
	server := guarded(t, &token)
	file := filepath.Join(t.TempDir(), "config")
	write(t, file, kubeconfig(server, `"token": "one"`))
	c, err := Connect(Options{Kubeconfig: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ask := func() error {
		now, err := c.Connection()
		if err != nil {
			return err
		}
		now.Invalidate()
		_, err = now.Capabilities()
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	first, err := c.Connection()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Connection(); again != first || err != nil {
		t.Errorf("without a change there is a new connection, %v", err)
	}
	token = "two"
	if err := ask(); err == nil {
		t.Error("the old token is let in")
	}
	write(t, file, kubeconfig(server, `"token": "two"`))
	if err := ask(); err != nil {
		t.Errorf("with the new token: %v", err)
	}
	write(t, file, "{")
	if err := ask(); err == nil || !strings.Contains(err.Error(), "kubeconfig cannot be read") {
		t.Errorf("with half a file: %v", err)
	}
	write(t, file, kubeconfig(server, `"token": "two"`))
	if err := ask(); err != nil {
		t.Errorf("with the whole file: %v", err)
	}
}

// TestTokenFile: a token that a kubeconfig names by file may change without
// it, and programs that print tokens are asked again.
func TestTokenFile(t *testing.T) {
	token := "one"
	server := guarded(t, &token)
	dir := t.TempDir()
	tokens := filepath.Join(dir, "token")
	program := filepath.Join(dir, "program")
	write(t, program, `#!/bin/sh
printf '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "%s"}}' "$(cat `+tokens+`)"
`)
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, user := range map[string]string{
		"file":    fmt.Sprintf(`"tokenFile": %q`, tokens),
		"program": fmt.Sprintf(`"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": %q, "interactiveMode": "Never"}`, program),
	} {
		t.Run(name, func(t *testing.T) {
			token = "one"
			write(t, tokens, token)
			file := filepath.Join(dir, name+".kubeconfig")
			write(t, file, kubeconfig(server, user))
			c, err := Connect(Options{Kubeconfig: file})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			for _, token = range []string{"one", "two"} {
				write(t, tokens, token)
				connection, err := c.Connection()
				if err != nil {
					t.Fatal(err)
				}
				connection.Invalidate()
				_, err = connection.Capabilities()
				if err != nil && name == "program" { // is run again when its token was refused
					_, err = connection.Capabilities()
				}
				if err != nil {
					t.Errorf("token %s: %v", token, err)
				}
			}
		})
	}
}

// TestConfined: nothing outside the namespaces is asked for.
func TestConfined(t *testing.T) {
	t.Parallel()
	url, asked, base := server(t)
	c := &confined{base: base, prefix: "/k8s/clusters/c1", namespaces: []string{"a", "b"}}
	for request, want := range map[string]bool{
		"GET /version":                                        true,
		"GET /apis":                                           true,
		"GET /api/v1":                                         true,
		"GET /apis/apps/v1":                                   true,
		"POST /apis/apps/v1":                                  false,
		"GET /api/v1/namespaces/a/configmaps":                 true,
		"GET /api/v1/namespaces/a":                            true,
		"PATCH /api/v1/namespaces/b":                          true,
		"POST /api/v1/namespaces":                             true,
		"GET /api/v1/namespaces":                              false,
		"DELETE /api/v1/namespaces/c":                         false,
		"GET /api/v1/secrets":                                 false,
		"GET /api/v1/namespaces/c/secrets/x":                  false,
		"GET /api/v1/nodes/a":                                 false,
		"PATCH /apis/apps/v1/namespaces/b/deployments/x":      true,
		"PATCH /apis/apps/v1/namespaces/c/deployments/x":      false,
		"GET /apis/rbac.authorization.k8s.io/v1/clusterroles": false,
		"GET /openapi/v3":                                     false,
		"GET /":                                               false,
	} {
		method, path, _ := strings.Cut(request, " ")
		asked.Store(0)
		req, err := http.NewRequestWithContext(t.Context(), method, url+"/k8s/clusters/c1"+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.RoundTrip(req)
		if err == nil {
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != want || (asked.Load() == 1) != want {
			t.Errorf("%s: %v, asked %d times", request, err, asked.Load())
		}
		if err != nil && (!sdk.IsPermanent(err) || !strings.Contains(err.Error(), "namespaces, which is a, b")) {
			t.Errorf("%s: %v", request, err)
		}
	}
}
