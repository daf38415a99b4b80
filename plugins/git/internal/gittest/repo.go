// Package gittest runs real git servers for tests: git http-backend behind
// net/http, and OpenSSH's sshd. Tests skip, saying why, where a program is
// missing.
package gittest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Repo is a repository with a worktree, made with the git program.
type Repo struct {
	Dir string
	t   testing.TB
	n   int // commits made, for their dates
}

// NewRepo makes an empty repository whose first branch is main.
func NewRepo(t testing.TB) *Repo {
	t.Helper()
	NeedGit(t)
	return NewRepoAt(t, filepath.Join(t.TempDir(), "repo"))
}

// NewRepoAt makes an empty repository at dir.
func NewRepoAt(t testing.TB, dir string) *Repo {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &Repo{Dir: dir, t: t}
	r.Git("init", "--quiet", "--initial-branch=main")
	r.Git("config", "http.receivepack", "true")
	r.Git("config", "receive.denyCurrentBranch", "ignore")
	return r
}

// NeedGit skips the test if there is no git program.
func NeedGit(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git program on PATH: install git")
	}
}

// Git runs git in the repository and returns what it prints.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.git(nil, "", args...)
}

// GitInput runs git with input and returns what it prints.
func (r *Repo) GitInput(input string, args ...string) string {
	r.t.Helper()
	return r.git(nil, input, args...)
}

// Try runs git in the repository from any goroutine, and may fail.
func (r *Repo) Try(args ...string) error {
	if out, err := r.command(nil, "", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (r *Repo) command(env []string, input string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = r.Dir
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ann Author", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Carl Committer", "GIT_COMMITTER_EMAIL=carl@example.com",
	}, env...)
	return cmd
}

func (r *Repo) git(env []string, input string, args ...string) string {
	r.t.Helper()
	out, err := r.command(env, input, args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Write writes a file of the worktree.
func (r *Repo) Write(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// Commit commits everything in the worktree and returns the hash. Each commit
// is a minute younger than the one before.
func (r *Repo) Commit(message string) string {
	r.t.Helper()
	r.Git("add", "--all")
	r.n++
	date := strconv.Itoa(1_700_000_000+60*r.n) + " +0000"
	r.git([]string{"GIT_AUTHOR_DATE=" + date, "GIT_COMMITTER_DATE=" + date}, "", "commit", "--quiet", "--allow-empty", "--message", message)
	return r.Git("rev-parse", "HEAD")
}

// CommitFile writes one file, commits it, and returns the hash.
func (r *Repo) CommitFile(name, content string) string {
	r.t.Helper()
	r.Write(name, content)
	return r.Commit("change " + name)
}

// Refs makes n branches at HEAD, named prefix0001 and so on.
func (r *Repo) Refs(prefix string, n int) {
	r.t.Helper()
	head := r.Git("rev-parse", "HEAD")
	var b strings.Builder
	for i := range n {
		b.WriteString("create refs/heads/" + prefix + strconv.Itoa(10000 + i)[1:] + " " + head + "\n")
	}
	r.GitInput(b.String(), "update-ref", "--stdin")
}

// Import makes a repository with files manifests of about 700 bytes in
// directories of 50, and then commits commits that change one of them each.
func (r *Repo) Import(files, commits int) {
	r.t.Helper()
	var b strings.Builder
	blob := func(path string, version int) {
		text := manifest(path, version)
		fmt.Fprintf(&b, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
	}
	path := func(i int) string { return fmt.Sprintf("apps/team-%03d/app-%05d.yaml", i/50, i) }
	for c := range commits + 1 {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter T <t@example.com> %d +0000\ndata 6\nchange\n", 1_600_000_000+c)
		if c > 0 {
			blob(path(c*7919%files), c)
			continue
		}
		for i := range files {
			blob(path(i), 0)
		}
	}
	r.GitInput(b.String(), "fast-import", "--quiet")
	r.Git("reset", "--hard", "--quiet")
}

func manifest(path string, version int) string {
	name := strings.NewReplacer("/", "-", ".yaml", "").Replace(path)
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[1]s
  labels: {app: %[1]s, version: "%[2]d"}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers:
        - name: main
          image: registry.example.com/team/%[1]s:v1.%[2]d
          ports: [{containerPort: 8080}]
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {memory: 256Mi}
          readinessProbe:
            httpGet: {path: /healthz, port: 8080}
            periodSeconds: 10
`, name, version)
}
