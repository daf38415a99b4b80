package mirror_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// late is a git program that is late: somebody pushes before it does.
type late struct {
	remote.CLI
	rival  func()
	pushes int
}

func (l *late) Push(ctx context.Context, t remote.Target, dir string, u remote.Update) error {
	l.pushes++
	l.rival()
	return l.CLI.Push(ctx, t, dir, u)
}

// timed notes when the last fetch began, and counts pushes.
type timed struct {
	remote.Transport
	fetch  time.Time
	pushes int
}

func (x *timed) Fetch(ctx context.Context, t remote.Target, dir string, specs []remote.Spec) error {
	x.fetch = time.Now()
	return x.Transport.Fetch(ctx, t, dir, specs)
}

func (x *timed) Push(ctx context.Context, t remote.Target, dir string, u remote.Update) error {
	x.pushes++
	return x.Transport.Push(ctx, t, dir, u)
}

// race is a repository with many files, served over HTTP, with a mirror.
type race struct {
	*gittest.Repo
	dir    string // of the mirrors
	mirror *mirror.Mirror
	access mirror.Access
	late   *late
	cloned []string // packs
	lines  int      // that have been changed
}

const raceFiles = 200

func newRace(t testing.TB) *race {
	t.Helper()
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	r := &race{Repo: gittest.NewBareAt(t, filepath.Join(root, "shop")), dir: t.TempDir()}
	files := map[string]string{"noise": "0"}
	for i := range raceFiles {
		files[raceFile(i)] = raceText(i, 0)
	}
	r.CommitFiles("main", files)
	address, err := remote.ParseAddress(gittest.NewHTTP(t, root, gittest.HTTPOptions{}).URL + "/shop")
	if err != nil {
		t.Fatal(err)
	}
	pool := mirror.NewPool(r.dir)
	t.Cleanup(pool.Close)
	if r.mirror, err = pool.Mirror(address, ""); err != nil {
		t.Fatal(err)
	}
	r.late = &late{CLI: cli, rival: func() { r.CommitFiles("main", map[string]string{"noise": fmt.Sprint(r.lines, time.Now())}) }}
	r.access = accessOf(address, r.late)
	if _, err := r.mirror.Fetch(t.Context(), r.access, main); err != nil {
		t.Fatal(err)
	}
	if r.cloned, err = filepath.Glob(filepath.Join(r.dir, "*/repo/objects/pack/pack-*.pack")); err != nil {
		t.Fatal(err)
	}
	return r
}

func raceFile(i int) string { return fmt.Sprintf("f%03d.yaml", i) }

func raceText(i, version int) string {
	return fmt.Sprintf("kind: CronJob\nname: w%03d\n# %s\nimage: app:%d\nsidecar: app:%[3]d\n", i, strings.Repeat("what it is for ", 30), version)
}

// publish writes the next version of all files.
func (r *race) publish(t testing.TB) {
	t.Helper()
	robot := object.Signature{Name: "Robot", Email: "robot@example.com"}
	p := mirror.Proposal{Read: main, Branch: main, Form: mirror.Form{Author: robot, Committer: robot, Message: "all"}}
	for i := range raceFiles {
		p.Edits = append(p.Edits, source.Edit{Path: raceFile(i), Old: []byte(raceText(i, r.lines)), New: []byte(raceText(i, r.lines+1))})
	}
	r.lines++
	done, err := r.mirror.Publish(t.Context(), r.access, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(done.Conflicts) > 0 || !done.New {
		t.Fatalf("%d conflicts, new: %t", len(done.Conflicts), done.New)
	}
}

// wantAll checks that the branch has everything, and how many commits it is.
func (r *race) wantAll(t *testing.T, commits int) {
	t.Helper()
	r.Git("fsck")
	if got := strings.Count(r.Git("grep", fmt.Sprintf("^image: app:%d$", r.lines), "main"), "\n") + 1; got != raceFiles {
		t.Errorf("%d of %d files have the new version", got, raceFiles)
	}
	if got := r.Git("rev-list", "--count", "main"); got != fmt.Sprint(commits) {
		t.Errorf("%s commits, want %d", got, commits)
	}
}

// packs lists the packs of the mirror but for those of the first fetch.
func (r *race) packs(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(glob(t, r.dir, "*/repo/objects/pack/pack-*.pack"), func(p string) bool { return slices.Contains(r.cloned, p) })
}

// A commit that has lost a race goes on with what is faster.
func TestRacer(t *testing.T) {
	r := newRace(t)
	racer := &timed{Transport: remote.Native{}}
	r.access.Racer = racer
	r.publish(t)
	r.wantAll(t, 3)
	if r.late.pushes != 1 || racer.pushes != 1 {
		t.Errorf("%d pushes, and %d with the racer", r.late.pushes, racer.pushes)
	}
}

// Many contents are one pack that is written before a push is tried, and again
// if it is lost on the way.
func TestStock(t *testing.T) {
	r := newRace(t)
	rival := r.late.rival
	r.late.rival = func() {
		rival()
		if packs := r.packs(t); len(packs) != 1 {
			t.Errorf("packs %v", packs)
		}
		if loose := glob(t, r.dir, "*/repo/objects/??/*"); len(loose) > 10 {
			t.Errorf("%d objects have files of their own", len(loose))
		}
		for _, path := range r.packs(t) {
			remove(t, path)
		}
		r.late.rival = func() {}
	}
	r.publish(t)
	r.wantAll(t, 3)
}

// A process that was killed has left half of an index for the same contents.
func TestHalfAnIndex(t *testing.T) {
	r := newRace(t)
	r.late.rival = func() {}
	r.publish(t)
	packs := r.packs(t)
	if len(packs) != 1 {
		t.Fatalf("packs %v", packs)
	}
	remove(t, packs[0])
	index := strings.TrimSuffix(packs[0], ".pack") + ".idx"
	if err := os.Chmod(index, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(index, 100); err != nil {
		t.Fatal(err)
	}
	r.Git("update-ref", "refs/heads/main", "main^")
	r.lines--
	r.publish(t)
	r.wantAll(t, 2)
	if info, err := os.Stat(index); err != nil || info.Size() <= 100 {
		t.Errorf("the index is as it was left: %v", err)
	}
}

// BenchmarkRace is what a commit takes of 400 lines in 200 files that loses a
// race. The window is the part of it in which it would lose the next one.
func BenchmarkRace(b *testing.B) {
	for _, name := range []string{"git", "go-git"} {
		b.Run(name, func(b *testing.B) {
			r := newRace(b)
			racer := &timed{Transport: r.late.CLI}
			if name == "go-git" {
				racer.Transport = remote.Native{}
			}
			r.access.Racer = racer
			var window time.Duration
			for b.Loop() {
				r.publish(b)
				window += time.Since(racer.fetch)
			}
			b.ReportMetric(float64(window.Milliseconds())/float64(b.N), "window-ms/op")
		})
	}
}
