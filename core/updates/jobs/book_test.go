package jobs

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// open is a book over the directory, and what closes it.
func open(t *testing.T, dir string) (*Book, func()) {
	t.Helper()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(store)
	if err != nil {
		t.Fatal(err)
	}
	return b, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func put(t *testing.T, b *Book, j Job) {
	t.Helper()
	if err := b.Put(Stored{Job: j}); err != nil {
		t.Fatal(err)
	}
}

func ids(b *Book) (list []string) {
	for _, j := range b.All() {
		list = append(list, j.ID)
	}
	return list
}

// TestBook: jobs survive a restart in the order in which they came, whatever the
// clock said, and of those that are over only so many.
func TestBook(t *testing.T) {
	dir := t.TempDir()
	b, end := open(t, dir)
	at := time.Now()
	put(t, b, Job{ID: "first", State: Running, Created: at})
	for i := range jobsKept + 2 {
		put(t, b, Job{ID: fmt.Sprintf("over%03d", i), State: Succeeded, Created: at.Add(-time.Duration(i) * time.Hour)})
	}
	before := ids(b)
	end()
	b, end = open(t, dir)
	defer end()
	if diff := cmp.Diff(before, ids(b)); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
	if n := len(before); n != jobsKept+2 || before[0] != "over101" || before[n-1] != "first" {
		t.Errorf("%d jobs, the newest %s, the oldest %s", n, before[0], before[n-1])
	}
	if _, _, ok := b.Get("over000"); ok {
		t.Error("the oldest that is over is remembered")
	}
	put(t, b, Job{ID: "next", State: Queued})
	if got := ids(b)[0]; got != "next" {
		t.Errorf("the newest is %s", got)
	}
}

// TestResolve: the beginning of an id is enough, in any case, if it is of one job.
func TestResolve(t *testing.T) {
	b, end := open(t, t.TempDir())
	defer end()
	for _, id := range []string{"ABCD", "ABXY", "Q"} {
		put(t, b, Job{ID: id})
	}
	for prefix, want := range map[string]struct {
		id   string
		kind error
	}{
		"ABCD": {"ABCD", nil}, "abc": {"ABCD", nil}, "Q": {"Q", nil},
		"ab": {"", refusal.ErrInvalid}, "": {"", refusal.ErrNotFound}, "ABCDE": {"", refusal.ErrNotFound},
	} {
		id, err := b.Resolve(prefix)
		if id != want.id || !errors.Is(err, want.kind) {
			t.Errorf("%q is %q, %v; want %q, %v", prefix, id, err, want.id, want.kind)
		}
	}
}

// TestOutcomes: a job ends with its last change. It has failed if nothing of it
// was written; what was not written is told of each workload.
func TestOutcomes(t *testing.T) {
	change := func(id, workload string) writeback.Change {
		return writeback.Change{ID: id, Source: "source.git.shop", Sync: "sync.shop", Edits: []edit.Edit{{Workload: workload, Image: "web:2"}}}
	}
	job := func() Stored {
		return Stored{
			Job: Job{ID: "job", State: Running, Results: []update.Result{
				{ID: "shop:deployment/api", Sync: "sync.shop", Status: update.Success}, {ID: "shop:deployment/web", Sync: "sync.shop", Status: update.Success},
			}},
			Open: []string{"a", "b"},
		}
	}
	wrote := writeback.Outcome{Revision: source.Revision{ID: "rev2"}}
	conflict := writeback.Outcome{Revision: source.Revision{ID: "rev2"}, Errors: []string{"it is another by now"}, Unchanged: true}
	refused := writeback.Outcome{Err: "the source is read-only"}
	for name, tt := range map[string]struct {
		a, b            writeback.Outcome
		state, err, web string
		commits         int
	}{
		"written":      {wrote, wrote, Succeeded, "", "", 1},
		"one conflict": {wrote, conflict, Succeeded, "it is another by now", "it is another by now", 1},
		"refused":      {refused, refused, Failed, "the source is read-only", "the source is read-only", 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := job()
			if !j.Note(change("a", "shop:deployment/api"), tt.a) || j.State != Running || j.Finished != (time.Time{}) {
				t.Fatalf("after the first: %+v", j.Job)
			}
			if j.Note(change("a", "shop:deployment/api"), tt.a) {
				t.Error("the same outcome is news twice")
			}
			if !j.Note(change("b", "shop:deployment/web"), tt.b) || j.State != tt.state || j.Finished.IsZero() {
				t.Errorf("after the last: %+v", j.Job)
			}
			if j.Error != tt.err || j.Results[1].Reason != tt.web || len(j.Commits) != tt.commits {
				t.Errorf("%q, web %q, %d commits", j.Error, j.Results[1].Reason, len(j.Commits))
			}
		})
	}
}
