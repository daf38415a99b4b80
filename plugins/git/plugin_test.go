package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(counterEnv); args != "" {
		println(countForEver(args).Error())
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

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

// Instances of one repository and credential have one mirror; another
// credential has another one.
func TestInstancesShareAMirror(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	want := repo.CommitFile("a", "1")
	repo.Refs("b", 20)
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	p := new(plugin)
	t.Cleanup(p.close)
	cache := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		c := Config{URL: server.URL + "/shop", Branch: fmt.Sprintf("b%04d", i), Transport: "auto", StallTimeout: time.Minute}
		if i%2 == 1 {
			c.Auth = &Auth{Token: secret.New("t0ken")}
		}
		s, err := p.open(t.Context(), c, env(filepath.Join(cache, c.Branch)))
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			rev, err := s.Resolve(t.Context(), source.Revision{})
			if err != nil || rev.ID != want || rev.Ref != c.Branch {
				t.Errorf("%s: %v, %v", c.Branch, rev, err)
			}
		})
	}
	wg.Wait()
	mirrors, err := os.ReadDir(filepath.Join(cache, "git-mirrors"))
	if err != nil || len(mirrors) != 2 {
		t.Errorf("mirrors: %v, %v; want two", mirrors, err)
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

// What people commit is not always UTF-8, and not always meant well.
func TestOddCommits(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewRepo(t)
		repo.CommitFile("a", "1")
		repo.Write("caf\xe9", "latin")
		repo.Git("add", "--all")
		commit := repo.GitInput(fmt.Sprintf("tree %s\nparent %s\nauthor Ren\xe9 \x1b[31m <r@example.com> 1700000000 +0100\ncommitter C <c@example.com> 1700000000 +0100\nencoding ISO-8859-1\n\n\x1b]0;gr\xfc\xdfe\x07 %s\nmore\n",
			repo.Git("write-tree"), repo.Git("rev-parse", "HEAD"), strings.Repeat("x", 100_000)), "hash-object", "-t", "commit", "-w", "--literally", "--stdin")
		repo.Git("update-ref", "refs/heads/main", commit)
		s := start(t).Source("git", values{"url": repo.Dir, "transport": transport})
		rev := resolve(t, s, source.Revision{})
		if rev.ID != commit || len(rev.Message) > 600 || strings.ContainsAny(rev.Author+rev.Message, "\x1b\x07\n") || !utf8.ValidString(rev.Author+rev.Message) {
			t.Errorf("revision %q %q", rev.Author, rev.Message)
		}
		if got := fetch(t, s, rev); got["caf\xe9"] != "latin" {
			t.Errorf("exported %q", got)
		}
		var paths []string
		if err := s.Log(t.Context(), source.Revision{}, rev, func(e source.Entry) { paths = append(paths, e.Paths...) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"caf\uFFFD"}, paths); diff != "" {
			t.Error(diff)
		}
	})
}

func TestConformance(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		repo.CommitFiles("main", map[string]string{"a": "1", "b/c": "2"})
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
		p := new(plugin)
		t.Cleanup(p.close)
		sdktest.WritableSource(t, p.describe(), "git", values{"url": server.URL + "/shop", "transport": transport, "write": values{}})
	})
}

func TestMovedTag(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewRepo(t)
		first := repo.CommitFile("a", "1")
		repo.Git("tag", "stable")
		s := start(t).Source("git", values{"url": repo.Dir, "tag": "stable", "transport": transport})
		rev := resolve(t, s, source.Revision{})
		second := repo.CommitFile("a", "2")
		if again := resolve(t, s, rev); rev.ID != first || again.ID != first {
			t.Fatalf("before the tag moves: %s, %s, want %s", rev.ID, again.ID, first)
		}
		repo.Git("tag", "--force", "--annotate", "--message", "moved", "stable")
		if rev = resolve(t, s, rev); rev.ID != second {
			t.Errorf("after the tag has moved: %s, want %s", rev.ID, second)
		}
	})
}

// Once a commit is in the mirror nobody is asked for it, by later processes
// either.
func TestPinnedCommitCostsNothing(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewRepo(t)
		commit := repo.CommitFile("a", "1")
		var c Config
		c.URL, c.Commit, c.Transport, c.StallTimeout = repo.Dir, commit, transport, time.Minute
		dir := filepath.Join(t.TempDir(), "instance")
		for process := range 2 {
			p := new(plugin)
			s, err := p.open(t.Context(), c, env(dir))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				rev, err := s.Resolve(t.Context(), source.Revision{})
				if err != nil || rev.ID != commit {
					t.Fatalf("process %d: %v, %v", process, rev, err)
				}
				if err := os.RemoveAll(repo.Dir); err != nil {
					t.Fatal(err)
				}
			}
			p.close()
		}
	})
}
