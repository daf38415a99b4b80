package remote_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// transports runs a test with each implementation.
func transports(t *testing.T, test func(t *testing.T, tr remote.Transport)) {
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	for _, tr := range []remote.Transport{cli, remote.Native{}} {
		t.Run(tr.Name(), func(t *testing.T) { test(t, tr) })
	}
}

// target is an anonymous Target for url.
func target(t *testing.T, url string) remote.Target {
	t.Helper()
	a, err := remote.ParseAddress(url)
	if err != nil {
		t.Fatal(err)
	}
	return remote.Target{Address: a, Stall: 10 * time.Second}
}

func bare(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := git.PlainInit(dir, true); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hashAt reads a ref of the bare repository at dir, and the tree behind it.
func hashAt(t *testing.T, dir, ref string) string {
	t.Helper()
	r, err := git.PlainOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	h, err := r.Reference(plumbing.ReferenceName(ref), false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.CommitObject(h.Hash())
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := files.Next()
		if err != nil {
			break
		}
		if _, err := f.Contents(); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	return h.Hash().String()
}

// wantKind checks the Kind of a Fault and returns its text.
func wantKind(t *testing.T, err error, kind remote.Kind) string {
	t.Helper()
	f, ok := errors.AsType[*remote.Fault](err)
	if !ok {
		t.Fatalf("error %v (%T), want a Fault", err, err)
	}
	if f.Kind != kind {
		t.Fatalf("kind %d, want %d: %v", f.Kind, kind, err)
	}
	t.Log(f)
	return f.Error()
}

var mainSpec = []remote.Spec{{Source: "refs/heads/main", Local: "refs/sluice/main"}}

func TestFetchOverEachProtocol(t *testing.T) {
	key := gittest.NewKey(t, "")
	parsed, err := remote.ParseKey(secret.New(key.Private), secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	transports(t, func(t *testing.T, tr remote.Transport) {
		root := t.TempDir()
		repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
		repo.CommitFile("a/b.yaml", "one")
		plain := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
		secure := gittest.NewHTTP(t, root, gittest.HTTPOptions{TLS: true, Intercept: gittest.BasicAuth("bob", "hunter2")})
		sshd := gittest.NewSSH(t, key)

		withPassword := target(t, secure.URL+"/shop")
		withPassword.Credentials = remote.Credentials{Username: "bob", Password: secret.New("hunter2")}
		withPassword.TLS.CAFile = secure.CAFile
		withKey := target(t, sshd.URL(repo.Dir))
		withKey.Credentials.Key = parsed
		withKey.KnownHosts = sshd.KnownHosts

		for name, tgt := range map[string]remote.Target{
			"http":     target(t, plain.URL+"/shop"),
			"https":    withPassword,
			"ssh":      withKey,
			"path":     target(t, repo.Dir),
			"file url": target(t, "file://"+repo.Dir),
		} {
			t.Run(name, func(t *testing.T) {
				dir := bare(t)
				want := repo.CommitFile("a/b.yaml", name+" one")
				if err := tr.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
					t.Fatal(err)
				}
				if got := hashAt(t, dir, "refs/sluice/main"); got != want {
					t.Fatalf("first fetch: %s, want %s", got, want)
				}
				want = repo.CommitFile("a/b.yaml", name+" two")
				for range 2 { // the second changes nothing
					if err := tr.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
						t.Fatal(err)
					}
					if got := hashAt(t, dir, "refs/sluice/main"); got != want {
						t.Fatalf("next fetch: %s, want %s", got, want)
					}
				}
				l, err := tr.List(t.Context(), tgt)
				if err != nil {
					t.Fatal(err)
				}
				wantList := remote.Listing{Head: "refs/heads/main", Refs: map[string]string{"HEAD": want, "refs/heads/main": want}}
				if diff := cmp.Diff(wantList, l); diff != "" {
					t.Fatal(diff)
				}
			})
		}
	})
}

func TestForcedPushAndNestedNames(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		repo := gittest.NewRepo(t)
		first := repo.CommitFile("a", "1")
		repo.CommitFile("a", "2")
		tgt, dir := target(t, repo.Dir), bare(t)
		if err := tr.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
			t.Fatal(err)
		}
		repo.Git("reset", "--hard", first)
		want := repo.CommitFile("a", "3")
		if err := tr.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
			t.Fatal(err)
		}
		if got := hashAt(t, dir, "refs/sluice/main"); got != want {
			t.Fatalf("after a forced push: %s, want %s", got, want)
		}
	})
}

// A poll must not cost in proportion to the refs that nobody asked for.
func TestPollBytes(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "many"))
	repo.CommitFile("a", "1")
	repo.Refs("feature-", 3000)
	repo.Git("pack-refs", "--all")
	s := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	tgt, dir := target(t, s.URL+"/many"), bare(t)
	if err := cli.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
		t.Fatal(err)
	}
	s.Bytes()
	s.BodyBytes()
	s.Requests()
	if err := cli.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
		t.Fatal(err)
	}
	wire, body, requests := s.Bytes(), s.BodyBytes(), s.Requests()
	t.Logf("poll without news: %d bytes of git protocol, %d with HTTP headers, in %d requests", body, wire, len(requests))
	if body >= 1024 || wire >= 2048 {
		t.Errorf("a poll without news costs %d bytes, %d with HTTP headers", body, wire)
	}
	if len(requests) != 2 {
		t.Errorf("a poll without news costs %d requests, want 2", len(requests))
	}
}

func TestClientCertificate(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{TLS: true, ClientCert: true})
	cert, key := gittest.NewCertificate(t)
	transports(t, func(t *testing.T, tr remote.Transport) {
		tgt := target(t, server.URL+"/shop")
		tgt.TLS = remote.TLS{CAFile: server.CAFile, CertFile: cert, KeyFile: key}
		if err := tr.Fetch(t.Context(), tgt, bare(t), mainSpec); err != nil {
			t.Fatal(err)
		}
		tgt.TLS = remote.TLS{CAFile: server.CAFile}
		if err := tr.Fetch(t.Context(), tgt, bare(t), mainSpec); err == nil {
			t.Fatal("no error without the certificate")
		} else {
			t.Log(err)
		}
	})
}

func TestBearer(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer t0ken" {
			return false
		}
		http.Error(w, "no", http.StatusUnauthorized)
		return true
	}})
	transports(t, func(t *testing.T, tr remote.Transport) {
		tgt := target(t, server.URL+"/shop")
		tgt.Credentials.Bearer = secret.New("t0ken")
		if err := tr.Fetch(t.Context(), tgt, bare(t), mainSpec); err != nil {
			t.Fatal(err)
		}
	})
}

// A repository that has been renamed on its server is still found, with the
// same credentials.
func TestRenamedRepository(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "new"))
	repo.CommitFile("a", "1")
	auth := gittest.BasicAuth("bob", "hunter2")
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
		if rest, ok := strings.CutPrefix(r.URL.RequestURI(), "/old/"); ok {
			http.Redirect(w, r, "/new/"+rest, http.StatusMovedPermanently)
			return true
		}
		return auth(w, r)
	}})
	transports(t, func(t *testing.T, tr remote.Transport) {
		tgt := target(t, server.URL+"/old")
		tgt.Credentials = remote.Credentials{Username: "bob", Password: secret.New("hunter2")}
		if err := tr.Fetch(t.Context(), tgt, bare(t), mainSpec); err != nil {
			t.Fatal(err)
		}
	})
}

// The path of the ssh agent's socket is limited, that of TMPDIR is not.
func TestLongTemporaryDirectory(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(long, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", long)
	key := gittest.NewKey(t, "")
	parsed, err := remote.ParseKey(secret.New(key.Private), secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	sshd := gittest.NewSSH(t, key)
	repo := gittest.NewRepo(t)
	repo.CommitFile("a", "1")
	transports(t, func(t *testing.T, tr remote.Transport) {
		tgt := target(t, sshd.URL(repo.Dir))
		tgt.Credentials.Key, tgt.KnownHosts = parsed, sshd.KnownHosts
		if err := tr.Fetch(t.Context(), tgt, bare(t), mainSpec); err != nil {
			t.Fatal(err)
		}
	})
}
