package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestErrors(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	repo.Git("branch", "production")
	repo.Git("tag", "v1.0.0")
	repo.Git("tag", "--annotate", "--message", "odd", "file", "HEAD:a")
	gittest.NewRepoAt(t, filepath.Join(root, "empty"))
	detached := gittest.NewRepoAt(t, filepath.Join(root, "detached"))
	detached.CommitFile("a", "1")
	detached.Git("symbolic-ref", "HEAD", "refs/heads/gone")
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	locked := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: gittest.BasicAuth("bob", "hunter2")})
	busy := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, "later", http.StatusServiceUnavailable)
		return true
	}})
	for _, c := range []struct {
		name      string
		config    values
		words     string
		permanent bool
	}{
		{"gone", values{"url": server.URL + "/none"}, "repository not found", true},
		{"empty", values{"url": server.URL + "/empty"}, "the repository is empty: push a first commit", true},
		{"empty, with branch", values{"url": server.URL + "/empty", "branch": "main"}, "the repository is empty", true},
		{"head dangles", values{"url": server.URL + "/detached"}, "set branch", true},
		{"branch missing", values{"url": server.URL + "/shop", "branch": "mian"}, `no branch "mian" (did you mean "main"?)`, true},
		{"branch far off", values{"url": server.URL + "/shop", "branch": "zzzzzz"}, `no branch "zzzzzz" (its default branch is "main")`, true},
		{"a tag, not a branch", values{"url": server.URL + "/shop", "branch": "v1.0.0"}, `there is a tag "v1.0.0"`, true},
		{"tag missing", values{"url": server.URL + "/shop", "tag": "v1.0.1"}, `did you mean "v1.0.0"?`, true},
		{"commit missing", values{"url": server.URL + "/shop", "commit": strings.Repeat("ab", 20)}, "no commit " + strings.Repeat("ab", 20), true},
		{"tag of a file", values{"url": server.URL + "/shop", "tag": "file"}, "does not point to a commit", true},
		{"no credentials", values{"url": locked.URL + "/shop"}, "asks for credentials", true},
		{"wrong password", values{"url": locked.URL + "/shop", "auth": values{"username": "bob", "password": "s3cret"}}, `user "bob"`, true},
		{"wrong token", values{"url": locked.URL + "/shop", "auth": values{"token": "s3cret"}}, "the server refused the token", true},
		{"wrong bearer", values{"url": locked.URL + "/shop", "auth": values{"bearer": "s3cret"}}, "refused the bearer token", true},
		{"busy", values{"url": busy.URL + "/shop"}, "503", false},
		{"no such host", values{"url": "https://git.invalid/x.git"}, "does not resolve", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, func(t *testing.T, transport string) {
				c.config["transport"] = transport
				_, err := start(t).Source("git", c.config).Resolve(t.Context(), source.Revision{})
				if err == nil {
					t.Fatal("no error")
				}
				t.Log(err)
				if !strings.Contains(err.Error(), c.words) {
					t.Errorf("%q does not say %q", err, c.words)
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("a secret stands in %q", err)
				}
				if got := sdk.IsPermanent(err); got != c.permanent {
					t.Errorf("permanent: %v, want %v", got, c.permanent)
				}
			})
		})
	}
}

func TestHungServer(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		hung := make(chan struct{})
		server := gittest.NewHTTP(t, t.TempDir(), gittest.HTTPOptions{Intercept: func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-hung:
			case <-r.Context().Done():
			}
			return true
		}})
		t.Cleanup(func() { close(hung) })
		s := start(t).Source("git", values{"url": server.URL + "/x", "branch": "main", "transport": transport, "stall_timeout": "1s"})
		_, err := s.Resolve(t.Context(), source.Revision{})
		if err == nil || !strings.Contains(err.Error(), "did not answer in time") {
			t.Errorf("stalled: %v", err)
		}
		s = start(t).Source("git", values{"url": server.URL + "/x", "branch": "main", "transport": transport})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := s.Resolve(ctx, source.Revision{}); err == nil {
			t.Error("no error after the deadline")
		}
	})
}

func TestRevisionGone(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewRepo(t)
		repo.CommitFile("a", "1")
		s := start(t).Source("git", values{"url": repo.Dir, "transport": transport})
		gone := source.Revision{ID: strings.Repeat("12", 20)}
		if err := s.Fetch(t.Context(), gone, t.TempDir()); !errors.Is(err, source.ErrGone) {
			t.Fatalf("fetch: %v", err)
		}
		rev := resolve(t, s, source.Revision{})
		if err := s.Log(t.Context(), gone, rev, func(source.Entry) {}); !errors.Is(err, source.ErrGone) {
			t.Fatalf("log: %v", err)
		}
	})
}

// The cache may be wiped between Resolve and Fetch, or get damaged.
func TestCacheLost(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		for name, harm := range map[string]func(t *testing.T, mirror string){
			"wiped": func(t *testing.T, mirror string) { rm(t, mirror) },
			"objects lost": func(t *testing.T, mirror string) {
				rm(t, filepath.Join(mirror, "repo", "objects"))
			},
			"blobs lost": func(t *testing.T, mirror string) {
				for _, pattern := range []string{"repo/objects/??/*", "repo/objects/pack/*"} {
					found, _ := filepath.Glob(filepath.Join(mirror, pattern))
					for _, path := range found {
						rm(t, path)
					}
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				repo := gittest.NewRepo(t)
				repo.CommitFile("a", "1")
				p := new(plugin)
				dir := t.TempDir()
				s, err := p.open(t.Context(), Config{URL: repo.Dir, Transport: transport, StallTimeout: time.Minute}, env(filepath.Join(dir, "instance")))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(p.close)
				rev, err := s.Resolve(t.Context(), source.Revision{})
				if err != nil {
					t.Fatal(err)
				}
				mirrors, _ := filepath.Glob(filepath.Join(dir, "git-mirrors", "*"))
				if len(mirrors) != 1 {
					t.Fatalf("mirrors: %v", mirrors)
				}
				harm(t, mirrors[0])
				out := t.TempDir()
				if err := s.Fetch(t.Context(), rev, out); err != nil {
					t.Fatal(err)
				}
				if b, err := os.ReadFile(filepath.Join(out, "a")); err != nil || string(b) != "1" {
					t.Fatalf("%q, %v", b, err)
				}
			})
		}
	})
}

func rm(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// When a server says when to come back, the host is told so.
func TestServerAsksToComeBackLater(t *testing.T) {
	root := t.TempDir()
	gittest.NewRepoAt(t, filepath.Join(root, "shop")).CommitFile("a", "1")
	for header, want := range map[string]time.Duration{"": time.Minute, "7": 7 * time.Second} {
		for _, code := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
				if header != "" {
					w.Header().Set("Retry-After", header)
				}
				http.Error(w, "later", code)
				return true
			}})
			transports(t, func(t *testing.T, transport string) {
				s := start(t).Source("git", values{"url": server.URL + "/shop", "branch": "main", "transport": transport})
				_, err := s.Resolve(t.Context(), source.Revision{})
				if d, ok := sdk.RetryDelay(err); !ok || d != want {
					t.Errorf("status %d, Retry-After %q: %v, %v (%v)", code, header, d, ok, err)
				}
			})
		}
	}
}
