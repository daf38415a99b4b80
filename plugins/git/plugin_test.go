package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// values is a configuration, or a block of it.
type values = map[string]any

// start runs the plugin over the wire.
func start(t *testing.T) *sdktest.Harness {
	t.Helper()
	p := new(plugin)
	h := sdktest.New(t, p.describe(), sdktest.Options{})
	t.Cleanup(p.close)
	return h
}

// transports runs a test with each transport, by its name in the
// configuration.
func transports(t *testing.T, test func(t *testing.T, transport string)) {
	gittest.NeedGit(t)
	for _, name := range []string{"git", "go-git"} {
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

func resolve(t *testing.T, s *client.Source, previous source.Revision) source.Revision {
	t.Helper()
	rev, err := s.Resolve(t.Context(), previous)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// fetch returns the content of the files of rev.
func fetch(t *testing.T, s *client.Source, rev source.Revision) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := s.Fetch(t.Context(), rev, dir); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFollowBranch(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
		first := repo.CommitFile("app.yaml", "one")
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
		s := start(t).Source("git", values{"url": server.URL + "/shop", "branch": "main", "transport": transport})

		rev := resolve(t, s, source.Revision{})
		want := source.Revision{
			ID: first, Ref: "main", Time: time.Unix(1_700_000_060, 0).UTC(),
			Author: "Ann Author <ann@example.com>", Message: "change app.yaml", URL: server.URL + "/shop",
		}
		rev.Time = rev.Time.UTC()
		if diff := cmp.Diff(want, rev); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(map[string]string{"app.yaml": "one"}, fetch(t, s, rev)); diff != "" {
			t.Fatal(diff)
		}

		if again := resolve(t, s, rev); again.ID != first {
			t.Fatalf("without news: %v", again)
		}
		second := repo.CommitFile("dir/new.yaml", "two")
		next := resolve(t, s, rev)
		if next.ID != second {
			t.Fatalf("after a push: %v", next)
		}
		if diff := cmp.Diff(map[string]string{"app.yaml": "one", "dir/new.yaml": "two"}, fetch(t, s, next)); diff != "" {
			t.Fatal(diff)
		}
		var touched []string
		if err := s.Log(t.Context(), rev, next, func(e source.Entry) { touched = append(touched, e.Paths...) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"dir/new.yaml"}, touched); diff != "" {
			t.Fatal(diff)
		}

		// A forced push changes the revision, nothing else.
		repo.Git("reset", "--hard", first)
		forced := repo.CommitFile("app.yaml", "three")
		if got := resolve(t, s, next); got.ID != forced {
			t.Fatalf("after a forced push: %v, want %s", got, forced)
		}
		if diff := cmp.Diff(map[string]string{"app.yaml": "one", "dir/new.yaml": "two"}, fetch(t, s, next)); diff != "" {
			t.Fatal("the old revision is still in the mirror:", diff)
		}
	})
}

func TestFollowTagCommitAndDefault(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewRepo(t)
		first := repo.CommitFile("a", "1")
		repo.Git("tag", "light")
		repo.Git("tag", "--annotate", "--message", "release", "v1")
		second := repo.CommitFile("a", "2")
		h := start(t)
		for name, c := range map[string]struct {
			config  values
			id, ref string
		}{
			"default":       {values{}, second, "main"},
			"branch":        {values{"branch": "main"}, second, "main"},
			"tag":           {values{"tag": "light"}, first, "light"},
			"annotated tag": {values{"tag": "v1"}, first, "v1"},
			"commit":        {values{"commit": first}, first, first},
			"commit, upper": {values{"commit": strings.ToUpper(first)}, first, first},
		} {
			t.Run(name, func(t *testing.T) {
				c.config["url"], c.config["transport"] = repo.Dir, transport
				s := h.Source("git", c.config)
				rev := resolve(t, s, source.Revision{})
				if rev.ID != c.id || rev.Ref != c.ref {
					t.Fatalf("%s at %s, want %s at %s", rev.Ref, rev.ID, c.ref, c.id)
				}
				want := map[string]string{"a": map[string]string{first: "1", second: "2"}[c.id]}
				if diff := cmp.Diff(want, fetch(t, s, rev)); diff != "" {
					t.Fatal(diff)
				}
			})
		}
	})
}

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
		{"wrong token", values{"url": locked.URL + "/shop", "auth": values{"token": "s3cret"}}, "refused", true},
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

// Instances of one repository and credential have one mirror.
func TestInstancesShareAMirror(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	repo.Refs("b", 20)
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: gittest.BasicAuth("bob", "hunter2")})
	h := start(t)
	auth := values{"username": "bob", "password": "hunter2"}
	var sources []*client.Source
	for i := range 20 {
		sources = append(sources, h.Source("git", values{"url": server.URL + "/shop", "branch": "b" + string(rune('0'+i/10)) + "00" + string(rune('0'+i%10)), "auth": auth}))
	}
	_ = sources
	var wg sync.WaitGroup
	errs := make([]error, 100)
	one := h.Source("git", values{"url": server.URL + "/shop", "branch": "main", "auth": auth})
	for i := range errs {
		wg.Go(func() { _, errs[i] = one.Resolve(t.Context(), source.Revision{}) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := len(server.Requests()); n > 30 {
		t.Errorf("100 calls at once cost %d requests", n)
	}
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

func TestChooseTransport(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	p := new(plugin)
	tr, err := p.chooseTransport("auto", remote.Address{Scheme: "ssh"})
	if err != nil || tr.Name() != "go-git" {
		t.Errorf("without git: %v, %v", tr, err)
	}
	if _, err := p.chooseTransport("git", remote.Address{Scheme: "file"}); err == nil || !strings.Contains(err.Error(), "there is no git on PATH") {
		t.Errorf("git wanted and absent: %v", err)
	}
}

func rm(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
		repo.CommitFile("a", "1")
		repo.CommitFile("b/c", "2")
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
		p := new(plugin)
		t.Cleanup(p.close)
		sdktest.Source(t, p.describe(), "git", values{"url": server.URL + "/shop", "transport": transport})
	})
}
