package main

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// proposals is a repository with a branch for proposals, and a source that
// writes to it.
type proposals struct {
	*gittest.Repo
	t *testing.T
	s *client.Source
}

func newProposals(t *testing.T, transport string, files map[string]string) *proposals {
	t.Helper()
	repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
	repo.CommitFiles("main", files)
	return &proposals{repo, t, start(t).Source("git", values{"url": repo.Dir, "transport": transport, "write": values{}})}
}

// propose commits edits to the branch "updates" and returns the revision. What
// it builds on must be what was promised.
func (p *proposals) propose(edits ...source.Edit) source.Revision {
	p.t.Helper()
	base, err := p.s.Branch(p.t.Context(), "updates")
	if err != nil {
		p.t.Fatal(err)
	}
	files := fetch(p.t, p.s, base)
	for _, e := range edits {
		if have := files[e.Path]; have != string(e.Old) && have != string(e.New) {
			p.t.Errorf("the edit of %s is made from %q, but the branch has %q", e.Path, e.Old, have)
		}
	}
	rev, err := p.s.Commit(p.t.Context(), source.Change{Edits: edits, Branch: "updates", Message: "update"})
	if err != nil {
		p.t.Fatal(err)
	}
	if head := p.Git("rev-parse", "updates"); rev.ID != head || rev.Ref != "updates" {
		p.t.Fatalf("committed %s to %s, the branch is at %s", rev.ID, rev.Ref, head)
	}
	if parent := p.Git("rev-parse", "updates^"); rev.ID != base.ID && parent != base.ID {
		p.t.Errorf("committed on top of %s, not of %s", parent, base.ID)
	}
	return rev
}

// want checks the files of the branch, and the subjects of its commits that
// main does not have, the newest first.
func (p *proposals) want(files, graph string) {
	p.t.Helper()
	if diff := cmp.Diff(files, p.Files("updates")); diff != "" {
		p.t.Error(diff)
	}
	if got := p.Git("log", "--topo-order", "--format=%s", "main..updates"); got != graph {
		p.t.Errorf("commits on the branch:\n%s\nwant:\n%s", got, graph)
	}
}

// forward fails the test unless the branch has all that it ever had.
func (p *proposals) forward(was source.Revision) {
	p.t.Helper()
	p.Git("merge-base", "--is-ancestor", was.ID, "updates")
}

func TestTargetBranch(t *testing.T) {
	transports(t, func(t *testing.T, transport string) {
		begin := func(t *testing.T) *proposals {
			return newProposals(t, transport, map[string]string{"a": "a1", "b": "b1", "d/c": "c1"})
		}
		t.Run("does not exist", func(t *testing.T) {
			p := begin(t)
			p.propose(edit("a", "a1", "a2"))
			p.want("100644 a a2\n100644 b b1\n100644 d/c c1\n", "update")
		})
		t.Run("again", func(t *testing.T) {
			p := begin(t)
			first := p.propose(edit("a", "a1", "a2"))
			if again := p.propose(edit("a", "a1", "a2")); again.ID != first.ID {
				t.Errorf("a second commit %s", again.ID)
			}
		})
		t.Run("one more edit", func(t *testing.T) {
			p := begin(t)
			first := p.propose(edit("a", "a1", "a2"))
			p.propose(edit("a", "a2", "a3"), edit("b", "b1", "b2"))
			p.forward(first)
			p.want("100644 a a3\n100644 b b2\n100644 d/c c1\n", "update\nupdate")
		})
		t.Run("merged", func(t *testing.T) {
			p := begin(t)
			first := p.propose(edit("a", "a1", "a2"))
			p.Git("update-ref", "refs/heads/main", "updates")
			p.CommitFiles("main", map[string]string{"b": "b2"})
			p.propose(edit("a", "a2", "a3"))
			p.forward(first)
			p.want("100644 a a3\n100644 b b2\n100644 d/c c1\n", "update")
		})
		t.Run("on the branch that is read already", func(t *testing.T) {
			p := begin(t)
			head := p.CommitFiles("main", map[string]string{"a": "a2"})
			rev, err := p.s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "a1", "a2")}, Branch: "updates"})
			if err != nil || rev.ID != head || p.Has("refs/heads/updates") {
				t.Errorf("%s, %v; want %s and no branch", rev.ID, err, head)
			}
		})
		t.Run("moved on elsewhere", func(t *testing.T) {
			p := begin(t)
			first := p.propose(edit("a", "a1", "a2"))
			p.CommitFiles("main", map[string]string{"b": "b2", "d/c": "-", "e/f/g": "new"})
			p.propose(edit("b", "b2", "b3"))
			p.forward(first)
			p.want("100644 a a2\n100644 b b3\n100644 e/f/g new\n", "update\nMerge branch 'main' into updates\nupdate")
		})
		t.Run("changed by others on both", func(t *testing.T) {
			p := begin(t)
			p.propose(edit("b", "b1", "b2"))
			theirs := source.Revision{ID: p.CommitFiles("updates", map[string]string{"a": "a-by-ann"})}
			p.CommitFiles("main", map[string]string{"a": "a2"})
			_, err := p.s.Commit(t.Context(), source.Change{
				Edits: []source.Edit{edit("a", "a2", "a3"), edit("d/c", "c1", "c2")}, Branch: "updates", Message: "update"})
			c, ok := errors.AsType[*source.ConflictError](err)
			if !ok || !cmp.Equal(c.Paths, []string{"a"}) || c.Written.ID != p.Git("rev-parse", "updates") {
				t.Fatalf("%v", err)
			}
			p.forward(theirs)
			p.want("100644 a a-by-ann\n100644 b b2\n100644 d/c c2\n", "update\nchange\nupdate")
		})
		t.Run("squashed and moved on", func(t *testing.T) {
			p := begin(t)
			p.propose(edit("a", "a1", "a2"))
			last := p.propose(edit("a", "a1", "a2"), edit("b", "b1", "b2"))
			p.CommitFiles("main", map[string]string{"a": "a2", "b": "b2"})
			p.CommitFiles("main", map[string]string{"a": "a3"})
			p.propose(edit("a", "a3", "a4"))
			p.forward(last)
			p.want("100644 a a4\n100644 b b2\n100644 d/c c1\n", "update\nMerge branch 'main' into updates\nupdate\nupdate")
			last = p.propose(edit("a", "a4", "a5"))
			p.CommitFiles("main", map[string]string{"a": "a5"})
			p.propose(edit("b", "b2", "b3"))
			p.forward(last)
			if diff := cmp.Diff("100644 a a5\n100644 b b3\n100644 d/c c1\n", p.Files("updates")); diff != "" {
				t.Error(diff)
			}
		})
		t.Run("deleted after the merge", func(t *testing.T) {
			p := begin(t)
			p.propose(edit("a", "a1", "a2"))
			p.Git("update-ref", "refs/heads/main", "updates")
			p.Git("branch", "-D", "updates")
			p.propose(edit("a", "a2", "a3"))
			p.want("100644 a a3\n100644 b b1\n100644 d/c c1\n", "update")
		})
		t.Run("the one that is read, by name", func(t *testing.T) {
			p := begin(t)
			rev, err := p.s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "a1", "a2")}, Branch: "main"})
			if err != nil || rev.ID != p.Git("rev-parse", "main") || rev.Message != "Update a" {
				t.Errorf("%v, %v", rev, err)
			}
		})
		t.Run("no relation", func(t *testing.T) {
			p := begin(t)
			p.CommitFiles("updates", map[string]string{"z": "z1"})
			was := source.Revision{ID: p.Git("rev-parse", "updates")}
			p.propose(edit("a", "a1", "a2"))
			p.forward(was)
			p.want("100644 a a2\n100644 b b1\n100644 d/c c1\n100644 z z1\n", "update\nMerge branch 'main' into updates\nchange")
		})
	})
}
