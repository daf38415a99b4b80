package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestSSHKeyFromSecret(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		old, fresh := gittest.NewKey(t, ""), gittest.NewKey(t, "")
		server := gittest.NewSSH(t, old)
		repo := gittest.NewRepo(t)
		repo.CommitFile("a", "1")
		h := start(t)
		config := values{"url": server.URL(repo.Dir), "transport": transport, "ssh": values{"key_secret": "flux/flux-git-deploy"}}
		s := h.Source("git", config)
		if _, err := s.Resolve(t.Context(), source.Revision{}); err == nil || !strings.Contains(err.Error(), "kubectl create secret generic flux-git-deploy") {
			t.Fatalf("without the Secret: %v", err)
		}
		ref := func(key string) host.SecretRef {
			return host.SecretRef{Namespace: "flux", Name: "flux-git-deploy", Key: key}
		}
		h.Host().SetSecret(ref("identity"), secret.New(old.Private))
		h.Host().SetSecret(ref("known_hosts"), secret.New(server.KnownHosts))
		rev := resolve(t, s, source.Revision{})

		// The key is replaced on the server, then in the Secret.
		server.Authorize(fresh)
		if _, err := s.Resolve(t.Context(), rev); err == nil || !strings.Contains(err.Error(), "refused the ssh key") {
			t.Fatalf("with the old key: %v", err)
		}
		h.Host().SetSecret(ref("identity"), secret.New(fresh.Private))
		resolve(t, s, rev)
	})
}

func TestSSHKeyWithPassphraseFromFile(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		key := gittest.NewKey(t, "open sesame")
		server := gittest.NewSSH(t, key)
		repo := gittest.NewRepo(t)
		want := repo.CommitFile("a", "1")
		file := filepath.Join(t.TempDir(), "id")
		if err := os.WriteFile(file, []byte(strings.TrimSpace(key.Private)), 0o600); err != nil {
			t.Fatal(err)
		}
		hosts := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(hosts, []byte(server.KnownHosts), 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t).Source("git", values{"url": server.URL(repo.Dir), "transport": transport,
			"ssh": values{"key_file": file, "passphrase": "open sesame", "known_hosts_file": hosts}})
		if rev := resolve(t, s, source.Revision{}); rev.ID != want {
			t.Fatalf("got %v", rev)
		}
		s = start(t).Source("git", values{"url": server.URL(repo.Dir), "transport": transport, "ssh": values{"key_file": file, "known_hosts_file": hosts}})
		if _, err := s.Resolve(t.Context(), source.Revision{}); err == nil || !strings.Contains(err.Error(), "set passphrase") {
			t.Fatalf("without passphrase: %v", err)
		}
	})
}

// A redirect to another host must not carry the credentials there.
func TestRedirectKeepsCredentials(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		for name, auth := range map[string]values{
			"password": {"username": "bob", "password": "hunter2"},
			"bearer":   {"bearer": "hunter2"},
		} {
			t.Run(name, func(t *testing.T) {
				var mu sync.Mutex
				var leaked []string
				thief := gittest.NewHTTP(t, t.TempDir(), gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
					mu.Lock()
					defer mu.Unlock()
					if a := r.Header.Get("Authorization"); a != "" {
						leaked = append(leaked, a)
					}
					w.Header().Set("WWW-Authenticate", `Basic realm="thief"`)
					http.Error(w, "password, please", http.StatusUnauthorized)
					return true
				}})
				honest := gittest.NewHTTP(t, t.TempDir(), gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
					http.Redirect(w, r, thief.URL+r.URL.RequestURI(), http.StatusFound)
					return true
				}})
				s := start(t).Source("git", values{"url": honest.URL + "/x", "branch": "main", "transport": transport, "auth": auth})
				if _, err := s.Resolve(t.Context(), source.Revision{}); err == nil {
					t.Error("no error")
				}
				mu.Lock()
				defer mu.Unlock()
				if len(leaked) > 0 {
					t.Errorf("the other host was told %q", leaked)
				}
			})
		}
	})
}

// The process list and the environment of git must not show secrets.
func TestSecretsAreNotShown(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("no /proc on this system")
	}
	var mu sync.Mutex
	var seen strings.Builder
	look := func() {
		for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
			found, _ := filepath.Glob(pattern)
			for _, path := range found {
				b, _ := os.ReadFile(path) // the process may be gone
				seen.Write(b)
			}
		}
	}
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	const password = "correct-horse-battery"
	check := gittest.BasicAuth("bob", password)
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		look()
		mu.Unlock()
		return check(w, r)
	}})
	s := start(t).Source("git", values{"url": server.URL + "/shop", "transport": "git", "auth": values{"username": "bob", "password": password}})
	resolve(t, s, source.Revision{})
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(seen.String(), "git-upload-pack") && !strings.Contains(seen.String(), "remote-http") {
		t.Error("git was not seen at all: the test looks at the wrong place")
	}
	if strings.Contains(seen.String(), password) {
		t.Error("the password can be seen in /proc")
	}
}
