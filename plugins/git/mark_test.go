package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMark(t *testing.T) {
	writers(t, func(t *testing.T, repo *gittest.Repo, config values) {
		first := repo.CommitFiles("main", map[string]string{"a": "1"})
		s := start(t).Source("git", config)
		rev := resolve(t, s, source.Revision{})
		mark := func(name string, rev source.Revision) {
			t.Helper()
			if err := s.Mark(t.Context(), name, rev, "Sync pointer"); err != nil {
				t.Fatal(err)
			}
		}
		mark("flux-sync", rev)
		mark("cluster/a", rev)
		tag := repo.Git("rev-parse", "refs/tags/flux-sync")
		if got := repo.Git("for-each-ref", "--format=%(objecttype)|%(*objectname)|%(taggername) %(taggeremail)|%(contents)", "refs/tags/flux-sync"); got != "tag|"+first+"|Sluice <sluice@localhost>|Sync pointer" {
			t.Errorf("the tag: %s", got)
		}
		mark("flux-sync", rev)
		if now := repo.Git("rev-parse", "refs/tags/flux-sync"); now != tag {
			t.Error("the tag was made anew for the same revision")
		}
		second := repo.CommitFiles("main", map[string]string{"a": "2"})
		mark("flux-sync", resolve(t, s, rev))
		if got := repo.Git("rev-parse", "flux-sync^{commit}"); got != second {
			t.Errorf("the tag is at %s, want %s", got, second)
		}
		if got := repo.Git("rev-parse", "cluster/a^{commit}"); got != first {
			t.Errorf("the other tag is at %s, want %s", got, first)
		}
		// A process that starts anew finds it where it is.
		mark = func(name string, rev source.Revision) {
			t.Helper()
			if err := start(t).Source("git", config).Mark(t.Context(), name, rev, "Sync pointer"); err != nil {
				t.Fatal(err)
			}
		}
		tag = repo.Git("rev-parse", "refs/tags/flux-sync")
		mark("flux-sync", source.Revision{ID: second})
		if now := repo.Git("rev-parse", "refs/tags/flux-sync"); now != tag {
			t.Error("the tag was made anew by another process")
		}
		mark("flux-sync", source.Revision{ID: first}) // a rollback
		if got := repo.Git("rev-parse", "flux-sync^{commit}"); got != first {
			t.Errorf("the tag is at %s, want %s", got, first)
		}
	})
}

func TestMarkIsMovedByAnother(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
		h := start(t)
		s := h.Source("git", values{"url": repo.Dir, "transport": transport, "write": values{}})
		for i, content := range []string{"1", "2", "3"} {
			rev := source.Revision{ID: repo.CommitFiles("main", map[string]string{"a": content})}
			if err := s.Mark(t.Context(), "mark", rev, ""); err != nil {
				t.Fatal(err)
			}
			if got := repo.Git("rev-parse", "mark^{commit}"); got != rev.ID {
				t.Errorf("%d: the tag is at %s, want %s", i, got, rev.ID)
			}
			repo.Git("tag", "--force", "--annotate", "--message", "mine", "mark", "main")
		}
		if n := strings.Count(h.Log(), "moved by somebody else"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, h.Log())
		}
	})
}

func TestMarkRefused(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		first := repo.CommitFiles("main", map[string]string{"a": "1"})
		url := gittest.NewHTTP(t, root, gittest.HTTPOptions{}).URL + "/shop"
		rev := source.Revision{ID: first}
		readOnly := start(t).Source("git", values{"url": url, "transport": transport})
		s := start(t).Source("git", values{"url": url, "transport": transport, "write": values{}})
		repo.Hook("update", "case $1 in refs/tags/v*) echo 'tags of releases are protected' >&2; exit 1;; esac\n")
		for _, c := range []struct {
			name  string
			err   error
			words string
		}{
			{"read-only", readOnly.Mark(t.Context(), "mark", rev, ""), "add write { } to its block"},
			{"bad name", s.Mark(t.Context(), "a..b", rev, ""), `"a..b" is not the name of a tag`},
			{"protected", s.Mark(t.Context(), "v1", rev, ""), "tags of releases are protected"},
		} {
			t.Log(c.err)
			if c.err == nil || !strings.Contains(c.err.Error(), c.words) || !sdk.IsPermanent(c.err) {
				t.Errorf("%s: %v", c.name, c.err)
			}
		}
		if err := s.Mark(t.Context(), "mark", source.Revision{ID: strings.Repeat("ab", 20)}, ""); err == nil {
			t.Error("a commit that does not exist was marked")
		}
	})
}
