package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// local is a repository on this machine with a source that may write to it.
func local(t *testing.T, transport string, files map[string]string) (*gittest.Repo, *client.Source) {
	t.Helper()
	repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
	if files != nil {
		repo.CommitFiles("main", files)
	}
	return repo, start(t).Source("git", values{"url": repo.Dir, "branch": "main", "transport": transport, "write": values{}})
}

func commit(t *testing.T, s *client.Source, edits ...source.Edit) source.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), source.Change{Edits: edits, Message: "change"})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// wantConflict checks which edits were left out, and that the error says why.
func wantConflict(t *testing.T, err error, words string, paths ...string) source.Revision {
	t.Helper()
	c, ok := errors.AsType[*source.ConflictError](err)
	if !ok || !cmp.Equal(c.Paths, paths) || !strings.Contains(err.Error(), words) {
		t.Fatalf("error %v; want a conflict of %v that says %q", err, paths, words)
	}
	return c.Written
}

func TestCommitConflicts(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo, s := local(t, transport, map[string]string{"a": "a1", "b": "b1", "c": "c1"})
		before := resolve(t, s, source.Revision{})
		repo.CommitFiles("main", map[string]string{"b": "b-by-ann", "c": "-"})
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "a1", "a2"), edit("b", "b1", "b2"), edit("c", "c1", "c2")}})
		written := wantConflict(t, err, "files changed meanwhile: b, c", "b", "c")
		if written.ID != repo.Git("rev-parse", "main") || written.ID == before.ID {
			t.Errorf("written: %+v", written)
		}
		if diff := cmp.Diff("100644 a a2\n100644 b b-by-ann\n", repo.Files("main")); diff != "" {
			t.Error(diff)
		}
		_, err = s.Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: "a", New: []byte("new")}, {Path: "b", Old: []byte("b1")}}})
		if written := wantConflict(t, err, "", "a", "b"); written.ID != "" {
			t.Errorf("nothing could be written, but %+v was", written)
		}
		if head := repo.Git("rev-parse", "main"); head != written.ID {
			t.Errorf("the branch moved to %s", head)
		}
	})
}

func TestNothingToCommit(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo, s := local(t, transport, map[string]string{"a": "a2", "b": "b1"})
		head := repo.Git("rev-parse", "main")
		for _, edits := range [][]source.Edit{
			{edit("a", "a1", "a2")},
			{{Path: "gone", Old: []byte("x")}},
			{{Path: "gone"}, {Path: "b", New: []byte("b1")}},
			nil,
		} {
			if rev := commit(t, s, edits...); rev.ID != head {
				t.Errorf("%v made the commit %s", edits, rev.ID)
			}
		}
	})
}

// The bytes that are given are the bytes that are committed.
func TestCommitBytes(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		deep := strings.Repeat("directory/", 60) + "file"
		files := map[string]string{
			"crlf": "a\r\nb\r\n", ".gitattributes": "* text=auto eol=lf\n", "bom": "\ufeffa: 1",
			"binary": "\x00\xff\xfe\r\n\x00", deep: "1", "ü/日本": "1", "a b/'c\"": "1",
		}
		repo, s := local(t, transport, files)
		repo.Exec("main", "run.sh", "#!/bin/sh\n")
		for path, content := range files {
			commit(t, s, edit(path, content, content+"\r\n\x00more"))
			files[path] += "\r\n\x00more"
		}
		commit(t, s, edit("run.sh", "#!/bin/sh\n", "#!/bin/bash\n"), source.Edit{Path: "empty", New: []byte{}})
		files["run.sh"], files["empty"] = "#!/bin/bash\n", ""
		if diff := cmp.Diff(files, fetch(t, s, resolve(t, s, source.Revision{}))); diff != "" {
			t.Error(diff)
		}
		if got := repo.Git("ls-tree", "main", "run.sh", "empty"); !strings.HasPrefix(got, "100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\tempty\n100755 ") {
			t.Errorf("modes: %s", got)
		}
		repo.Git("fsck", "--strict")
	})
}

// A file may take the place of a directory, and the other way round; a
// directory whose last file goes, goes.
func TestCommitDirectories(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo, s := local(t, transport, map[string]string{"a/b/c": "1", "a.b": "2", "a0": "3", "f": "4"})
		commit(t, s, source.Edit{Path: "a/b/c", Old: []byte("1")}, source.Edit{Path: "f", Old: []byte("4")}, source.Edit{Path: "f/g", New: []byte("5")})
		if diff := cmp.Diff("100644 a.b 2\n100644 a0 3\n100644 f/g 5\n", repo.Files("main")); diff != "" {
			t.Error(diff)
		}
		commit(t, s, source.Edit{Path: "a", New: []byte("6")})
		repo.Git("fsck", "--strict")
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: "a/x", New: []byte("7")}, edit("f", "4", "8")}})
		wantConflict(t, err, "a/x: a is a file; f: it is a directory", "a/x", "f")
	})
}

func TestCommitThroughLinks(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo, s := local(t, transport, map[string]string{"real": "1", "dir/f": "1"})
		repo.Link("main", "link", "real")
		repo.Link("main", "way", "dir")
		repo.Submodule("main", "module")
		before := repo.Git("rev-parse", "main")
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{
			edit("link", "1", "2"), edit("way/f", "1", "2"), {Path: "module/f", New: []byte("2")}, {Path: "module"}}})
		wantConflict(t, err, "link: it is a symbolic link, through which nothing is written; ", "link", "module", "module/f", "way/f")
		if now := repo.Git("rev-parse", "main"); now != before {
			t.Error("something was written")
		}
	})
}

func TestCommitRefused(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo, s := local(t, transport, map[string]string{"a": "1"})
		repo.Git("tag", "v1", "main")
		ok := edit("a", "1", "2")
		with := func(c values) *client.Source {
			c["url"], c["transport"] = repo.Dir, transport
			return start(t).Source("git", c)
		}
		for _, c := range []struct {
			name   string
			s      *client.Source
			change source.Change
			words  string
		}{
			{"no write block", with(values{}), source.Change{Edits: []source.Edit{ok}}, "the source is read-only: add write { } to its block"},
			{"tag", with(values{"tag": "v1", "write": values{}}), source.Change{Edits: []source.Edit{ok}}, "read-only, because it follows a tag"},
			{"commit", with(values{"commit": strings.Repeat("ab", 20), "write": values{}}), source.Change{Edits: []source.Edit{ok}}, "read-only, because it follows a tag or a commit"},
			{"up", s, source.Change{Edits: []source.Edit{ok, {Path: "../x", New: []byte("x")}}}, `"../x" is not the path of a file`},
			{"absolute", s, source.Change{Edits: []source.Edit{{Path: "/etc/passwd", New: []byte("x")}}}, "is not the path of a file"},
			{".git", s, source.Change{Edits: []source.Edit{{Path: "x/.GIT/config", New: []byte("x")}}}, "is not the path of a file"},
			{"empty path", s, source.Change{Edits: []source.Edit{{New: []byte("x")}}}, "is not the path of a file"},
			{"directory", s, source.Change{Edits: []source.Edit{{Path: "x/", New: []byte("x")}}}, "is not the path of a file"},
			{"twice", s, source.Change{Edits: []source.Edit{ok, ok}}, `"a" is edited twice`},
			{"file and directory", s, source.Change{Edits: []source.Edit{{Path: "x", New: []byte("x")}, {Path: "x/y", New: []byte("x")}}}, `"x" would be a file and a directory`},
			{"branch name", s, source.Change{Edits: []source.Edit{ok}, Branch: "a..b"}, `"a..b" is not the name of a branch`},
			{"author", s, source.Change{Edits: []source.Edit{ok}, Author: "Ann"}, `the author "Ann" is not a name with a mail address`},
			{"trailer", s, source.Change{Edits: []source.Edit{ok}, Trailers: map[string]string{"a b": "c"}}, `"a b" is not the name of a trailer`},
		} {
			_, err := c.s.Commit(t.Context(), c.change)
			if err == nil || !strings.Contains(err.Error(), c.words) || !sdk.IsPermanent(err) {
				t.Errorf("%s: %v; want a permanent error that says %q", c.name, err, c.words)
			}
		}
		if got := repo.Files("main"); got != "100644 a 1\n" {
			t.Errorf("the repository has been changed: %s", got)
		}
	})
}

// An empty repository gets its first commit if the configuration says where.
func TestFirstCommit(t *testing.T) {
	writersOver(t, []string{"http", "file"}, func(t *testing.T, repo *gittest.Repo, config values) {
		_, err := start(t).Source("git", config).Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: "d/a", New: []byte("1")}}})
		if err == nil || !strings.Contains(err.Error(), "the repository is empty") || !sdk.IsPermanent(err) {
			t.Errorf("without branch: %v", err)
		}
		config["branch"] = "main"
		s := start(t).Source("git", config)
		rev := commit(t, s, source.Edit{Path: "d/a", New: []byte("1")})
		if got := repo.Files("main"); got != "100644 d/a 1\n" || rev.ID != repo.Git("rev-list", "main") {
			t.Errorf("%s: %s", rev.ID, got)
		}
		commit(t, s, edit("d/a", "1", "2"))
		config["branch"] = "mian"
		_, err = start(t).Source("git", config).Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: "d/a", New: []byte("1")}}})
		if err == nil || !strings.Contains(err.Error(), `did you mean "main"?`) {
			t.Errorf("a branch that does not exist: %v", err)
		}
	})
}

func TestBranchNames(t *testing.T) {
	writersOver(t, []string{"http", "file"}, func(t *testing.T, repo *gittest.Repo, config values) {
		repo.CommitFiles("main", map[string]string{"a": "1"})
		s := start(t).Source("git", config)
		for _, name := range []string{"team/x/updates", "ünïcode-日本", "a'b\"c$d`e;f&g|h", "HEAD", "feature#1", strings.Repeat("long", 40)} {
			rev, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", name)}, Branch: name})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got := repo.Git("rev-parse", "refs/heads/"+name); got != rev.ID || rev.Ref != name {
				t.Errorf("%s: %s, want %s", rev.Ref, got, rev.ID)
			}
		}
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}, Branch: "team/x"})
		if err == nil || !sdk.IsPermanent(err) {
			t.Errorf("a branch where a directory of branches is: %v", err)
		}
		t.Log(err)
	})
}

func TestMessages(t *testing.T) {
	edits := []source.Edit{{Path: "a"}}
	for _, c := range []struct {
		name   string
		write  Write
		change source.Change
		want   string
	}{
		{"plain", Write{CISkipMessage: "[ci skip]"}, source.Change{Message: "One\n\nTwo\n\n"}, "One\n\nTwo\n"},
		{"ci", Write{CISkip: true, CISkipMessage: "[ci skip]"}, source.Change{Message: "One"}, "One\n\n[ci skip]\n"},
		{"ci there", Write{CISkip: true, CISkipMessage: "[ci skip]"}, source.Change{Message: "One [ci skip]"}, "One [ci skip]\n"},
		{"all", Write{CISkip: true, CISkipMessage: "***NO_CI***"}, source.Change{Message: "One", Trailers: map[string]string{"B": "2", "A": "1\n2\n\n3", "C": ""}},
			"One\n\n***NO_CI***\n\nA: 1\n 2\n 3\nB: 2\n"},
		{"none, one file", Write{}, source.Change{Edits: edits}, "Update a\n"},
		{"none", Write{}, source.Change{Edits: append(edits, edits...)}, "Update 2 files\n"},
		{"odd", Write{}, source.Change{Message: "a\x00b\xff\r\nc\r"}, "ab\uFFFD\nc\n"},
	} {
		got, err := c.write.message(c.change)
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestAuthors(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
		repo.CommitFiles("main", map[string]string{"a": "1"})
		s := start(t).Source("git", values{"url": repo.Dir, "transport": transport, "write": values{
			"author": "Robot <robot@example.com>", "committer": "Röb Öt <r@example.com>", "ci_skip": true}})
		commit(t, s, edit("a", "1", "2"))
		if got := repo.Git("log", "-1", "--format=%an <%ae> %cn <%ce> %B", "main"); got != "Robot <robot@example.com> Röb Öt <r@example.com> change\n\n[ci skip]" {
			t.Error(got)
		}
		if _, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "2", "3")}, Author: "Ann <ann@example.com>"}); err != nil {
			t.Fatal(err)
		}
		if got := repo.Git("log", "-1", "--format=%an <%ae> %cn <%ce>", "main"); got != "Ann <ann@example.com> Röb Öt <r@example.com>" {
			t.Error(got)
		}
	})
}
