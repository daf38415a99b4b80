package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/source"
)

const (
	shop = "source.git.shop"
	app  = "sync.app"
)

// git runs git in dir, as nobody in particular.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Sluice", "GIT_AUTHOR_EMAIL=sluice@example.com",
		"GIT_COMMITTER_NAME=Sluice", "GIT_COMMITTER_EMAIL=sluice@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// remote is a bare repository that others push to.
type remote struct {
	t   *testing.T
	dir string
}

// newRemote makes a repository with files on its branch main.
func newRemote(t *testing.T, files map[string]string) remote {
	t.Helper()
	r := remote{t, filepath.Join(t.TempDir(), "remote.git")}
	if _, err := git(t.Context(), "", "init", "-q", "--bare", "-b", "main", r.dir); err != nil {
		t.Fatal(err)
	}
	r.push("first", files)
	return r
}

// push commits files as another writer, on whatever is there.
func (r remote) push(message string, files map[string]string) {
	r.t.Helper()
	dir := r.t.TempDir()
	if _, err := git(r.t.Context(), "", "clone", "-q", r.dir, dir); err != nil {
		r.t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", message}, {"push", "-q", "origin", "HEAD:main"}} {
		if _, err := git(r.t.Context(), dir, args...); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r remote) git(args ...string) string {
	r.t.Helper()
	out, err := git(r.t.Context(), r.dir, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// commits counts those on main after the first.
func (r remote) commits() int {
	r.t.Helper()
	return strings.Count(r.git("log", "--format=%H", "main")+"\n", "\n") - 1
}

func (r remote) read(file string) string {
	r.t.Helper()
	return r.git("show", "main:"+file)
}

// clone is a writeback.Repository: a real clone of a remote, written to with
// the git binary, and hooks for what happens between two steps.
type clone struct {
	remote, dir, branch string
	step                func(name string) error // called at each step; may be nil

	mu    sync.Mutex
	heads []bool // fresh of each Head
}

func newClone(ctx context.Context, remote, dir string) (*clone, error) {
	if _, err := os.Stat(dir); err == nil {
		return &clone{remote: remote, dir: dir, branch: "main"}, nil
	}
	_, err := git(ctx, "", "clone", "-q", remote, dir)
	return &clone{remote: remote, dir: dir, branch: "main"}, err
}

func (c *clone) at(name string) error {
	if c.step == nil {
		return nil
	}
	return c.step(name)
}

func (c *clone) Head(ctx context.Context, fresh bool) (writeback.Tree, error) {
	c.mu.Lock()
	c.heads = append(c.heads, fresh)
	c.mu.Unlock()
	if err := c.at("head"); err != nil {
		return writeback.Tree{}, err
	}
	if fresh {
		if _, err := git(ctx, c.dir, "fetch", "-q", "origin"); err != nil {
			return writeback.Tree{}, err
		}
	}
	id, err := c.reset(ctx)
	return writeback.Tree{Dir: c.dir, Digest: id, Revision: source.Revision{ID: id}}, err
}

// reset makes the working tree that of the branch as it was fetched last.
func (c *clone) reset(ctx context.Context) (string, error) {
	if _, err := git(ctx, c.dir, "reset", "-q", "--hard", "origin/"+c.branch); err != nil {
		return "", err
	}
	return git(ctx, c.dir, "rev-parse", "HEAD")
}

// Commit does what the git plugin does: it never forces, and tries again on
// the new head when somebody was faster.
func (c *clone) Commit(ctx context.Context, ch source.Change) (source.Revision, error) {
	for {
		if _, err := git(ctx, c.dir, "fetch", "-q", "origin"); err != nil {
			return source.Revision{}, err
		}
		if _, err := c.reset(ctx); err != nil {
			return source.Revision{}, err
		}
		conflicts, err := c.write(ch.Edits)
		if err != nil {
			return source.Revision{}, err
		}
		if len(conflicts) == len(ch.Edits) {
			return source.Revision{}, &source.ConflictError{Paths: conflicts}
		}
		rev, err := c.record(ctx, ch)
		if err != nil {
			return source.Revision{}, err
		}
		if err := c.at("committed"); err != nil {
			return source.Revision{}, err
		}
		_, err = git(ctx, c.dir, "push", "-q", "origin", "HEAD:"+c.branch)
		if err != nil && (strings.Contains(err.Error(), "rejected") || strings.Contains(err.Error(), "cannot lock ref")) {
			continue
		}
		if err := errors.Join(err, c.at("pushed")); err != nil {
			return source.Revision{}, err
		}
		if len(conflicts) > 0 {
			return rev, &source.ConflictError{Paths: conflicts, Written: rev}
		}
		return rev, nil
	}
}

// write makes the edits whose old content stands there.
func (c *clone) write(edits []source.Edit) (conflicts []string, err error) {
	for _, e := range edits {
		path := filepath.Join(c.dir, e.Path)
		have, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if string(have) != string(e.Old) {
			conflicts = append(conflicts, e.Path)
			continue
		}
		if err := os.WriteFile(path, e.New, 0o600); err != nil {
			return nil, err
		}
	}
	return conflicts, nil
}

func (c *clone) record(ctx context.Context, ch source.Change) (source.Revision, error) {
	message := ch.Message + "\n\n"
	for _, key := range slices.Sorted(maps.Keys(ch.Trailers)) {
		message += key + ": " + ch.Trailers[key] + "\n"
	}
	args := []string{"commit", "-q", "-a", "-m", message}
	if ch.Author != "" {
		args = append(args, "--author", ch.Author)
	}
	if _, err := git(ctx, c.dir, args...); err != nil {
		return source.Revision{}, err
	}
	id, err := git(ctx, c.dir, "rev-parse", "HEAD")
	return source.Revision{ID: id, Ref: c.branch, Message: ch.Message}, err
}

// rig is a queue over one remote.
type rig struct {
	*writeback.Queue
	t     *testing.T
	repo  *clone
	store *state.Store
	mu    sync.Mutex
	done  []writeback.Outcome
	warns []error
}

func openStore(t *testing.T) *state.Store {
	t.Helper()
	s, err := state.Open(t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// newRig makes a queue that has not started.
func newRig(t *testing.T, r remote, change func(*writeback.Options)) *rig {
	t.Helper()
	repo, err := newClone(t.Context(), r.dir, filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{t: t, repo: repo, store: openStore(t)}
	o := writeback.Options{
		Open:  func(string, string) (writeback.Repository, error) { return g.repo, nil },
		Edit:  editTree,
		Store: g.store, Logger: slog.New(slog.DiscardHandler), Quiet: 20 * time.Millisecond,
		Done: func(ended []writeback.Ended) {
			g.mu.Lock()
			defer g.mu.Unlock()
			for _, e := range ended {
				g.done = append(g.done, e.Outcome)
			}
		},
		Warn: func(_ string, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.warns = append(g.warns, err)
		},
	}
	if change != nil {
		change(&o)
	}
	g.Queue, err = writeback.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (g *rig) submit(changes ...writeback.Change) {
	g.t.Helper()
	if err := g.Submit(changes...); err != nil {
		g.t.Fatal(err)
	}
}

func (g *rig) wait(id string) writeback.Outcome {
	g.t.Helper()
	o, err := g.Wait(g.t.Context(), id)
	if err != nil {
		g.t.Fatal(err)
	}
	if o.ID != id || o.At.IsZero() {
		g.t.Errorf("outcome of %s: %+v", id, o)
	}
	return o
}

// manifest is a workload called name with an image of that name.
func manifest(name, tag string) string {
	return fmt.Sprintf(`# %s, with a comment
apiVersion: apps/v1
kind: Deployment
metadata: {name: %s, namespace: shop, annotations: {note: "x"}}
spec:
  template:
    spec:
      containers:
        - name: main
          image: 'quay.io/%s:%s' # keep
`, name, name, name, tag)
}

func id(name string) string { return "shop:deployment/" + name }

// bump is a change of automation: name goes to tag.
func bump(name, from, to string) writeback.Change {
	return writeback.Change{
		ID: name + "-" + to, Source: shop, Sync: app, Cause: writeback.Cause{Kind: writeback.Automation},
		Edits: []edit.Edit{{Workload: id(name), Container: "main", Image: "quay.io/" + name + ":" + to, From: "quay.io/" + name + ":" + from}},
	}
}

// many returns n manifests by file, and changes of all of them.
func many(n int) (map[string]string, []writeback.Change) {
	files, changes := map[string]string{}, []writeback.Change{}
	for i := range n {
		name := fmt.Sprintf("app%03d", i)
		files[name+".yaml"] = manifest(name, "1")
		changes = append(changes, bump(name, "1", "2"))
	}
	return files, changes
}
