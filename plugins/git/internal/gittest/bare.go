package gittest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// NewBareAt makes an empty bare repository at dir, to which everybody may
// push, and whose default branch is main.
func NewBareAt(t testing.TB, dir string) *Repo {
	t.Helper()
	NeedGit(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &Repo{Dir: dir, t: t}
	r.Git("init", "--quiet", "--bare", "--initial-branch=main")
	r.Git("config", "http.receivepack", "true")
	return r
}

// CommitFiles commits files on top of a branch, without a worktree, and
// returns the hash. The content "-" deletes a file.
func (r *Repo) CommitFiles(branch string, files map[string]string) string {
	r.t.Helper()
	r.n++
	var b strings.Builder
	fmt.Fprintf(&b, "commit refs/heads/%s\ncommitter Ann Author <ann@example.com> %d +0000\ndata 6\nchange\n", branch, 1_700_000_000+60*r.n)
	if r.Has("refs/heads/" + branch) {
		fmt.Fprintf(&b, "from refs/heads/%s^0\n", branch)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if content := files[path]; content == "-" {
			fmt.Fprintf(&b, "D %s\n", path)
		} else {
			fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
		}
	}
	r.GitInput(b.String(), "fast-import", "--quiet")
	return r.Git("rev-parse", "refs/heads/"+branch)
}

// Has reports whether the repository has a ref.
func (r *Repo) Has(ref string) bool {
	r.t.Helper()
	return r.Git("for-each-ref", ref) != ""
}

// Files prints the files of a commit: mode, path and content of each.
func (r *Repo) Files(commit string) string {
	r.t.Helper()
	var b strings.Builder
	for line := range strings.SplitSeq(r.Git("ls-tree", "-r", "-z", commit), "\x00") {
		meta, path, ok := strings.Cut(line, "\t")
		if ok {
			fields := strings.Fields(meta)
			fmt.Fprintf(&b, "%s %s %s\n", fields[0], path, r.Git("cat-file", "blob", fields[2]))
		}
	}
	return b.String()
}

// Hook installs a hook, a shell script.
func (r *Repo) Hook(name, script string) {
	r.t.Helper()
	path := filepath.Join(r.Git("rev-parse", "--absolute-git-dir"), "hooks", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// Exec commits an executable file.
func (r *Repo) Exec(branch, path, content string) { r.entry(branch, "100755", path, content) }

// Link commits a symbolic link.
func (r *Repo) Link(branch, path, target string) { r.entry(branch, "120000", path, target) }

func (r *Repo) entry(branch, mode, path, content string) {
	r.t.Helper()
	r.GitInput(fmt.Sprintf("commit refs/heads/%s\ncommitter Ann Author <ann@example.com> %d +0000\ndata 6\nchange\nfrom refs/heads/%s^0\nM %s inline %s\ndata %d\n%s\n",
		branch, 1_700_000_000, branch, mode, path, len(content), content), "fast-import", "--quiet")
}

// Submodule commits a submodule.
func (r *Repo) Submodule(branch, path string) {
	r.t.Helper()
	r.GitInput(fmt.Sprintf("commit refs/heads/%s\ncommitter Ann Author <ann@example.com> %d +0000\ndata 6\nchange\nfrom refs/heads/%s^0\nM 160000 %s %s\n",
		branch, 1_700_000_000, branch, strings.Repeat("12", 20), path), "fast-import", "--quiet")
}
