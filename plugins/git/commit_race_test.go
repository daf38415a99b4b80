package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// rivalPushes bounds what a rival pushes: where the machine is so busy that its
// pushes leave no gap, nobody else's comes through before the last of them.
const rivalPushes = 100

// rival pushes a commit to url every 50 ms with the git program until stop is
// closed, or it has pushed rivalPushes, catching up whenever somebody else was
// first. It returns how many arrived, and tells pushed of each.
func rival(t *testing.T, url string, stop <-chan struct{}, pushed chan<- struct{}) int {
	defer close(pushed)
	clone := gittest.NewRepoAt(t, filepath.Join(t.TempDir(), "rival"))
	clone.Git("pull", "--quiet", url, "main")
	clone.Git("config", "user.name", "Rival")
	clone.Git("config", "user.email", "rival@example.com")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for n := range rivalPushes {
		select {
		case <-stop:
			return n
		case <-tick.C:
		}
		name := fmt.Sprintf("rival/%05d", n)
		if err := os.MkdirAll(filepath.Join(clone.Dir, "rival"), 0o755); err != nil {
			t.Error(err)
			return n
		}
		if err := os.WriteFile(filepath.Join(clone.Dir, name), []byte(name), 0o644); err != nil {
			t.Error(err)
			return n
		}
		for _, args := range [][]string{{"add", name}, {"commit", "--quiet", "--message", name}} {
			if err := clone.Try(args...); err != nil {
				t.Error(err)
				return n
			}
		}
		for clone.Try("push", "--quiet", url, "HEAD:main") != nil {
			if err := clone.Try("pull", "--quiet", "--rebase", url, "main"); err != nil {
				t.Error(err)
				return n
			}
		}
		pushed <- struct{}{}
	}
	return rivalPushes
}

// wantOnlyForward checks that the branch has never been moved anywhere else
// than forward.
func wantOnlyForward(t *testing.T, repo *gittest.Repo) {
	t.Helper()
	for line := range strings.Lines(readFile(t, filepath.Join(repo.Dir, "logs", "refs", "heads", "main"))) {
		f := strings.Fields(line)
		if strings.Trim(f[0], "0") != "" {
			repo.Git("merge-base", "--is-ancestor", f[0], f[1])
		}
	}
}

// 500 edits go in while somebody else pushes all the time: nothing is lost,
// and nothing is forced.
func TestSecondWriter(t *testing.T) {
	t.Run("auto", func(t *testing.T) { secondWriter(t, "auto") })
	transports(t, secondWriter)
}

func secondWriter(t *testing.T, transport string) {
	const commits, perCommit = 10, 50
	root := t.TempDir()
	repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
	repo.Git("config", "core.logAllRefUpdates", "always")
	files := map[string]string{}
	for i := range commits * perCommit {
		files[fmt.Sprintf("apps/%03d.yaml", i)] = "old"
	}
	repo.CommitFiles("main", files)
	server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	s := start(t).Source("git", values{"url": server.URL + "/shop", "branch": "main", "transport": transport, "write": values{}})

	stop, pushed := make(chan struct{}), make(chan struct{}, 10_000)
	var wg sync.WaitGroup
	theirs := 0
	wg.Go(func() { theirs = rival(t, server.URL+"/shop", stop, pushed) })
	halt := sync.OnceFunc(func() { close(stop); wg.Wait() })
	defer halt()
	began := time.Now()
	for c := range commits {
		var edits []source.Edit
		for i := range perCommit {
			edits = append(edits, edit(fmt.Sprintf("apps/%03d.yaml", c*perCommit+i), "old", "new"))
		}
		<-pushed // neither side may have it all to itself
		commit(t, s, edits...)
	}
	halt()
	t.Logf("%d commits of ours in %s, %d of the rival", commits, time.Since(began).Round(time.Millisecond), theirs)

	repo.Git("fsck")
	wantOnlyForward(t, repo)
	if got := repo.Git("rev-list", "--count", "main"); got != fmt.Sprint(1+commits+theirs) {
		t.Errorf("%s commits, want 1 + %d + %d", got, commits, theirs)
	}
	if got := strings.Count(repo.Git("grep", "--files-with-matches", "^new$", "main"), "apps/"); got != commits*perCommit {
		t.Errorf("%d of %d edits are there", got, commits*perCommit)
	}
	if got := strings.Count(repo.Git("ls-tree", "-r", "main", "rival/"), "rival/"); got != theirs {
		t.Errorf("%d of %d files of the rival are there", got, theirs)
	}
	if theirs < commits-1 {
		t.Errorf("the rival pushed only %d times", theirs)
	}
}

// Sources that share a mirror, and processes that do not, write at once.
func TestManyWriters(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		const writers, each = 6, 3
		repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
		repo.Git("config", "core.logAllRefUpdates", "always")
		repo.CommitFiles("main", map[string]string{"a": "1"})
		shared := start(t)
		var wg sync.WaitGroup
		for w := range writers {
			h := shared
			if w%2 == 1 {
				h = start(t)
			}
			s := h.Source("git", values{"url": repo.Dir, "branch": "main", "transport": transport, "write": values{}})
			wg.Go(func() {
				for i := range each {
					path := fmt.Sprintf("w%d/%d", w, i)
					if _, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: path, New: []byte(path)}}}); err != nil {
						t.Errorf("%s: %v", path, err)
					}
				}
			})
		}
		wg.Wait()
		wantOnlyForward(t, repo)
		repo.Git("fsck")
		if got := repo.Git("rev-list", "--count", "main"); got != fmt.Sprint(1+writers*each) {
			t.Errorf("%s commits, want %d", got, 1+writers*each)
		}
		if got := strings.Count(repo.Files("main"), "\n"); got != 1+writers*each {
			t.Errorf("%d files, want %d", got, 1+writers*each)
		}
	})
}
