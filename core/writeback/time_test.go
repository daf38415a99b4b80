package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// memory is a branch in memory: a file for each workload. Its errors are told
// in their order, each once.
type memory struct {
	files    map[string]string
	commits  []source.Change
	at       []time.Time // of tries
	opening  []error
	commitOf []error
	began    time.Time
}

func newMemory() *memory { return &memory{files: map[string]string{}, began: time.Now()} }

func next(errs *[]error) error {
	if len(*errs) == 0 {
		return nil
	}
	err := (*errs)[0]
	*errs = (*errs)[1:]
	return err
}

func (m *memory) open(string, string) (writeback.Repository, error) {
	m.at = append(m.at, time.Now())
	return m, next(&m.opening)
}

func (m *memory) Head(context.Context, bool) (writeback.Tree, error) {
	return writeback.Tree{Revision: source.Revision{ID: fmt.Sprint("r", len(m.commits))}}, nil
}

func (m *memory) Commit(_ context.Context, c source.Change) (source.Revision, error) {
	if err := next(&m.commitOf); err != nil {
		return source.Revision{}, err
	}
	for _, e := range c.Edits {
		m.files[e.Path] = string(e.New)
	}
	m.commits = append(m.commits, c)
	return source.Revision{ID: fmt.Sprint("r", len(m.commits))}, nil
}

func (m *memory) edit(_ context.Context, _ string, _ writeback.Tree, edits []edit.Edit) (changes []edit.FileChange, errs []error) {
	for n, e := range edits {
		if have, want := m.files[e.Workload], fmt.Sprint(e.Image, e.Set, e.Remove); have != want {
			changes = append(changes, edit.FileChange{Path: e.Workload, Old: []byte(have), New: []byte(want), Edits: []int{n}})
		}
	}
	return changes, make([]error, len(edits))
}

// tried returns when commits were tried, counted from the beginning.
func (m *memory) tried() (after []time.Duration) {
	for _, t := range m.at {
		after = append(after, t.Sub(m.began))
	}
	return after
}

// inTime runs test with a queue over a branch in memory, in a time of its own.
func inTime(t *testing.T, change func(*memory, *writeback.Options), test func(t *testing.T, m *memory, q *writeback.Queue)) {
	store := openStore(t)
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		o := writeback.Options{Open: m.open, Edit: m.edit, Store: store,
			Rand: func() float64 { return 0 }, Logger: slog.New(slog.DiscardHandler)}
		if change != nil {
			change(m, &o)
		}
		q, err := writeback.New(o)
		if err != nil {
			t.Fatal(err)
		}
		q.Start()
		test(t, m, q)
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func put(t *testing.T, q *writeback.Queue, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := q.Submit(bump(name, "1", "2")); err != nil {
			t.Fatal(err)
		}
	}
}

func ended(t *testing.T, q *writeback.Queue, name string) writeback.Outcome {
	t.Helper()
	o, err := q.Wait(t.Context(), name+"-2")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A commit waits until nothing came for the quiet time, but not for ever.
func TestQuietTime(t *testing.T) {
	inTime(t, nil, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		time.Sleep(150 * time.Millisecond) // of the bubble's clock
		put(t, q, "b")
		ended(t, q, "b")
		if diff := cmp.Diff([]time.Duration{350 * time.Millisecond}, m.tried()); diff != "" || len(m.commits) != 1 {
			t.Errorf("%d commits, tried at\n%s", len(m.commits), diff)
		}
	})
	inTime(t, nil, func(t *testing.T, m *memory, q *writeback.Queue) {
		for i := range 25 {
			put(t, q, fmt.Sprint("c", i))
			time.Sleep(100 * time.Millisecond)
		}
		ended(t, q, "c24")
		if got := m.tried(); len(got) != 2 || got[0] != 2*time.Second {
			t.Errorf("tried at %v", got)
		}
	})
}

// What fails is tried again ever more rarely, and keeps what comes meanwhile.
func TestBackoff(t *testing.T) {
	away := errors.New("connection refused")
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.opening = []error{away}
		m.commitOf = []error{away, sdk.RetryAfter(away, time.Hour)}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		time.Sleep(500 * time.Millisecond)
		put(t, q, "b")
		synctest.Wait()
		want := []writeback.Status{{
			Source: shop, State: writeback.Retrying, Pending: 2, Since: m.began, Failures: 1,
			Error: "connection refused", Next: m.began.Add(1200 * time.Millisecond),
		}}
		if diff := cmp.Diff(want, q.Status()); diff != "" {
			t.Error(diff)
		}
		if o := ended(t, q, "b"); o.Err != "" || o.Unchanged || o.Revision.ID != "r1" {
			t.Errorf("%+v", o)
		}
		after := []time.Duration{200 * time.Millisecond, 1200 * time.Millisecond, 3200 * time.Millisecond, time.Hour + 3200*time.Millisecond}
		if diff := cmp.Diff(after, m.tried()); diff != "" || len(m.commits) != 1 {
			t.Errorf("%d commits, tried at\n%s", len(m.commits), diff)
		}
	})
}

// A person's release does not wait until a back-off is over.
func TestPersonDuringBackoff(t *testing.T) {
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.opening = []error{sdk.RetryAfter(errors.New("connection refused"), time.Hour)}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		time.Sleep(time.Minute)
		put(t, q, "b")
		c := bump("c", "1", "2")
		c.Cause = writeback.Cause{Kind: writeback.Release}
		if err := q.Submit(c); err != nil {
			t.Fatal(err)
		}
		ended(t, q, "c")
		if diff := cmp.Diff([]time.Duration{200 * time.Millisecond, time.Minute + 200*time.Millisecond}, m.tried()); diff != "" || len(m.commits) != 1 {
			t.Errorf("%d commits, tried at\n%s", len(m.commits), diff)
		}
	})
}

// Reconfigure tries at once: a suspended source goes on, a removed one ends.
func TestReconfigure(t *testing.T) {
	suspended := errors.New("source is suspended: freeze until monday")
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.opening = []error{suspended, suspended, sdk.Permanent(errors.New("source is not declared any more"))}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a", "b")
		time.Sleep(300 * time.Millisecond)
		if s := q.Status(); len(s) != 1 || s[0].Error != suspended.Error() {
			t.Errorf("%+v", s)
		}
		q.Reconfigure()
		synctest.Wait()
		q.Reconfigure()
		for _, name := range []string{"a", "b"} {
			if o := ended(t, q, name); o.Err != "source is not declared any more" || o.Revision.ID != "" {
				t.Errorf("%+v", o)
			}
		}
		want := []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond}
		if diff := cmp.Diff(want, m.tried()); diff != "" || len(m.commits) != 0 {
			t.Errorf("%d commits, tried at\n%s", len(m.commits), diff)
		}
	})
}

// A commit that may not be made ends its changes with the reason.
func TestPermanentFailure(t *testing.T) {
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.commitOf = []error{sdk.Permanent(errors.New("the key has no write access"))}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		if o := ended(t, q, "a"); o.Err != "the key has no write access" {
			t.Errorf("%+v", o)
		}
		put(t, q, "b")
		if o := ended(t, q, "b"); o.Err != "" {
			t.Errorf("%+v", o)
		}
	})
}

// A conflict that does not go away is put off like any failure, and named.
func TestConflictsWithoutEnd(t *testing.T) {
	conflict := &source.ConflictError{Paths: []string{id("a")}}
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.commitOf = slices.Repeat([]error{conflict}, 12)
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		time.Sleep(300 * time.Millisecond)
		if s := q.Status(); len(s) != 1 || !strings.Contains(s[0].Error, "gave up after 10 tries: files changed meanwhile: "+id("a")) {
			t.Errorf("%+v", s)
		}
		if o := ended(t, q, "a"); o.Err != "" || len(m.tried()) != 2 {
			t.Errorf("%+v, tried %v", o, m.tried())
		}
	})
}

// An edit that cannot be tried now waits alone.
func TestEditThatHasToWait(t *testing.T) {
	inTime(t, func(m *memory, o *writeback.Options) {
		failures := 1
		o.Edit = func(ctx context.Context, sync string, tree writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
			n := slices.IndexFunc(edits, func(e edit.Edit) bool { return e.Workload == id("b") })
			changes, errs := m.edit(ctx, sync, tree, edits)
			if n >= 0 && failures > 0 {
				failures--
				errs[n] = sdk.RetryAfter(errors.New("the renderer restarts"), time.Minute)
			}
			return changes, errs
		}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a", "b", "c")
		ended(t, q, "c")
		synctest.Wait()
		if s := q.Status(); len(s) != 1 || s[0].Pending != 1 || s[0].Error != "the renderer restarts" {
			t.Errorf("%+v", s)
		}
		if o := ended(t, q, "b"); o.Err != "" {
			t.Errorf("%+v", o)
		}
		if diff := cmp.Diff([]time.Duration{200 * time.Millisecond, 200*time.Millisecond + time.Minute}, m.tried()); diff != "" || len(m.commits) != 2 {
			t.Errorf("%d commits, tried at\n%s", len(m.commits), diff)
		}
	})
}

// A commit that hangs is given up and tried again.
func TestTimeout(t *testing.T) {
	inTime(t, func(m *memory, o *writeback.Options) {
		hang := true
		o.Timeout = time.Minute
		o.Edit = func(ctx context.Context, sync string, tree writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
			if hang {
				hang = false
				<-ctx.Done()
				return nil, []error{ctx.Err()}
			}
			return m.edit(ctx, sync, tree, edits)
		}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		if o := ended(t, q, "a"); o.Err != "" || len(m.tried()) != 2 {
			t.Errorf("%+v, tried %v", o, m.tried())
		}
	})
}
