package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// isPush tells the request that carries a push.
func isPush(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack")
}

// What a server says when it refuses reaches people, without secrets.
func TestHookRefuses(t *testing.T) {
	writers(t, func(t *testing.T, repo *gittest.Repo, config values) {
		if config["transport"] == "go-git" && config["url"] == repo.Dir {
			t.Skip("hooks of a local repository take the git program: see TestGuardedRepository")
		}
		before := repo.CommitFiles("main", map[string]string{"a": "1"})
		repo.Hook("pre-receive", "echo 'No commits on Fridays, hunter2.' >&2\necho 'Ask Ann.' >&2\nexit 1\n")
		s := start(t).Source("git", config)
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
		if err == nil {
			t.Fatal("no error")
		}
		t.Log(err)
		if !strings.Contains(err.Error(), `the server refused the push to branch "main" (pre-receive hook declined: No commits on Fridays`) ||
			!strings.Contains(err.Error(), "Ask Ann.") || !sdk.IsPermanent(err) {
			t.Errorf("error %v", err)
		}
		if config["auth"] != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password stands in %v", err)
		}
		if now := repo.Git("rev-parse", "main"); now != before {
			t.Error("the branch has moved")
		}
	})
}

// Without the git program nobody would run the hooks of a local repository, or
// update its worktree.
func TestGuardedRepository(t *testing.T) {
	repo, s := local(t, "go-git", map[string]string{"a": "1"})
	repo.Hook("update", "exit 0\n")
	_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
	if err == nil || !strings.Contains(err.Error(), "it has a update hook, which takes the git program to run") || !sdk.IsPermanent(err) {
		t.Errorf("hook: %v", err)
	}
	repo, s = local(t, "go-git", map[string]string{"a": "1"})
	repo.Git("config", "core.hooksPath", t.TempDir())
	_, err = s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
	if err == nil || !strings.Contains(err.Error(), "core.hooksPath") || !sdk.IsPermanent(err) {
		t.Errorf("hooks elsewhere: %v", err)
	}
	repo, s = local(t, "go-git", map[string]string{"a": "1"})
	repo.Git("branch", "updates", "main")
	repo.Git("pack-refs", "--all")
	_, err = s.Commit(t.Context(), source.Change{Branch: "updates/shop", Edits: []source.Edit{edit("a", "1", "2")}})
	if err == nil || !strings.Contains(err.Error(), "there is refs/heads/updates") || !sdk.IsPermanent(err) {
		t.Errorf("a packed branch in the way: %v", err)
	}
	transports(t, func(t *testing.T, transport string) {
		checkedOut := gittest.NewRepo(t)
		checkedOut.CommitFile("a", "1")
		checkedOut.Git("config", "--unset", "receive.denyCurrentBranch")
		s := start(t).Source("git", values{"url": checkedOut.Dir, "branch": "main", "transport": transport, "write": values{}})
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
		if err == nil || !strings.Contains(err.Error(), "checked out") || !sdk.IsPermanent(err) {
			t.Errorf("checked out: %v", err)
		}
	})
}

func TestNoPermission(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		repo.CommitFiles("main", map[string]string{"a": "1"})
		forbidden := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.String(), "git-receive-pack") {
				return false
			}
			http.Error(w, "no", http.StatusForbidden)
			return true
		}})
		key := gittest.NewKey(t, "")
		readOnly := key
		readOnly.Authorized = `command="case $SSH_ORIGINAL_COMMAND in git-receive-pack*) echo 'ERROR: The key you are authenticating with has been marked as read only.' >&2; exit 1;; esac; eval $SSH_ORIGINAL_COMMAND" ` + key.Authorized
		sshd := gittest.NewSSH(t, readOnly)
		for _, c := range []struct {
			name   string
			config values
			words  string
		}{
			{"token", values{"url": forbidden.URL + "/shop", "auth": values{"token": "s3cret"}}, "check that it is right, has not expired, and may write to this repository"},
			{"nobody", values{"url": forbidden.URL + "/shop"}, "add an auth or ssh block"},
			{"deploy key", values{"url": sshd.URL(repo.Dir), "ssh": values{"key": key.Private, "known_hosts": sshd.KnownHosts}},
				`the server refused the push to branch "main" (The key you are authenticating with has been marked as read only.)`},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.config["transport"], c.config["branch"], c.config["write"] = transport, "main", values{}
				s := start(t).Source("git", c.config)
				resolve(t, s, source.Revision{})
				_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
				if err == nil || !strings.Contains(err.Error(), c.words) || !sdk.IsPermanent(err) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("error %v", err)
				}
			})
		}
	})
}

// A push whose answer is lost has been made; nobody makes it again.
func TestAnswerLost(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		repo.CommitFiles("main", map[string]string{"a": "1"})
		var left atomic.Int32
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Cut: func(r *http.Request) bool {
			return isPush(r) && left.Add(-1) >= 0
		}})
		s := start(t).Source("git", values{"url": server.URL + "/shop", "branch": "main", "transport": transport, "write": values{}})
		left.Store(1)
		rev := commit(t, s, edit("a", "1", "2"))
		if head := repo.Git("rev-parse", "main"); head != rev.ID || repo.Git("rev-list", "--count", "main") != "2" {
			t.Errorf("returned %s, the branch has\n%s", rev.ID, repo.Git("log", "--format=%H %s", "main"))
		}
		again := commit(t, s, edit("a", "1", "2"))
		if again.ID != rev.ID {
			t.Errorf("made again as %s", again.ID)
		}
	})
}

// A push that does not arrive is an error that may be tried again.
func TestConnectionCut(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		repo.CommitFiles("main", map[string]string{"a": "1"})
		var left atomic.Int32
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(_ http.ResponseWriter, r *http.Request) bool {
			if isPush(r) && left.Add(-1) >= 0 {
				panic(http.ErrAbortHandler)
			}
			return false
		}})
		s := start(t).Source("git", values{"url": server.URL + "/shop", "branch": "main", "transport": transport, "write": values{}})
		left.Store(2) // net/http tries once more by itself
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
		if err == nil && transport == "git" || err != nil && sdk.IsPermanent(err) {
			t.Errorf("error %v", err)
		}
		left.Store(0)
		commit(t, s, edit("a", "1", "2"))
		if got := repo.Git("rev-list", "--count", "main"); got != "2" {
			t.Errorf("%s commits, want 2", got)
		}
	})
}
