package writeback_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
)

// judged has Options.Admit say what verdicts has for a workload.
func judged(o *writeback.Options, verdicts map[string]error) {
	o.Admit = func(context.Context, string, writeback.Tree) func(writeback.Change, edit.Edit) error {
		return func(_ writeback.Change, e edit.Edit) error { return verdicts[e.Workload] }
	}
}

// TestAdmit: what is wanted no more ends with the reason, edit by edit; what has
// to wait waits alone, and what comes later overtakes it.
func TestAdmit(t *testing.T) {
	verdicts := map[string]error{
		id("locked"): errors.New("locked by ann"),
		id("held"):   sdk.RetryAfter(errors.New("suspended by ann"), time.Hour),
	}
	both := bump("both", "1", "2")
	both.Edits = append(both.Edits, bump("locked", "1", "2").Edits...)
	inTime(t, func(_ *memory, o *writeback.Options) { judged(o, verdicts) }, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a", "locked", "held")
		if err := q.Submit(both); err != nil {
			t.Fatal(err)
		}
		if o := ended(t, q, "locked"); o.Err != "locked by ann" || o.Refused {
			t.Errorf("%+v", o)
		}
		if o := ended(t, q, "both"); o.Err != "" || !cmp.Equal(o.Errors, []string{"", "locked by ann"}) {
			t.Errorf("%+v", o)
		}
		ended(t, q, "a")
		if len(m.commits) != 1 || len(m.commits[0].Edits) != 2 {
			t.Errorf("commits %+v", m.commits)
		}
		synctest.Wait()
		n, why := q.Waits(func(c writeback.Change) bool { return c.ID == "held-2" })
		if s := q.Status(); len(s) != 1 || s[0].Pending != 1 || s[0].State != writeback.Retrying || s[0].Error != "suspended by ann" || n != 1 || why == nil {
			t.Errorf("%+v, %d %v", s, n, why)
		}

		release := bump("held", "1", "3") // by a person, of the same place
		release.Cause.Kind = writeback.Release
		delete(verdicts, id("held"))
		if err := q.Submit(release); err != nil {
			t.Fatal(err)
		}
		if o, err := q.Wait(t.Context(), release.ID); err != nil || o.Err != "" {
			t.Errorf("%+v, %v", o, err)
		}
		q.Reconfigure("source.git.other")
		synctest.Wait()
		if s := q.Status(); len(s) != 1 || s[0].Pending != 1 {
			t.Errorf("%+v", s)
		}
		q.Reconfigure(shop)
		if o := ended(t, q, "held"); o.Err != "" || len(m.commits) != 3 {
			t.Errorf("%+v, %d commits", o, len(m.commits))
		}
	})
}

// TestAdmitWhatStandsThere: of what is in the tree already, nobody is asked.
func TestAdmitWhatStandsThere(t *testing.T) {
	inTime(t, func(m *memory, o *writeback.Options) {
		m.files[id("a")] = "quay.io/a:2map[] []"
		judged(o, map[string]error{id("a"): errors.New("locked")})
	}, func(t *testing.T, _ *memory, q *writeback.Queue) {
		put(t, q, "a")
		if o := ended(t, q, "a"); o.Err != "" || !o.Unchanged {
			t.Errorf("%+v", o)
		}
	})
}

// TestReached: a source that answers has what failed tried soon, but not at each
// answer, and not before the time that the failure named.
func TestReached(t *testing.T) {
	away := errors.New("connection refused")
	inTime(t, func(m *memory, _ *writeback.Options) {
		m.opening = slices.Repeat([]error{away}, 100)
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		put(t, q, "a")
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		m.at, m.opening = nil, []error{away, away, sdk.RetryAfter(away, time.Hour)}
		for range 12 {
			q.Reached("source.git.other")
			q.Reached(shop)
			time.Sleep(time.Second)
		}
		if got := len(m.at); got != 3 {
			t.Errorf("%d tries in 12 s: %v", got, m.tried())
		}
		for range 60 {
			q.Reached(shop)
			time.Sleep(time.Second)
		}
		if got := len(m.at); got != 3 {
			t.Errorf("%d tries, though the last said when to come again", got)
		}
		if s := q.Status(); len(s) != 1 || !strings.Contains(s[0].Error, "refused") {
			t.Errorf("%+v", s)
		}
		q.Reconfigure(shop)
		if o := ended(t, q, "a"); o.Err != "" {
			t.Errorf("%+v", o)
		}
	})
}

// TestToldTogether: what one try ends is told with one call, and what a source
// refuses is said to be refused.
func TestToldTogether(t *testing.T) {
	var calls [][]writeback.Ended
	waits := 0
	inTime(t, func(m *memory, o *writeback.Options) {
		m.commitOf = []error{errors.New("no network"), sdk.Permanent(errors.New("declined"))}
		o.Done = func(ended []writeback.Ended) { calls = append(calls, ended) }
		o.Waiting = func(source string) {
			if source == shop {
				waits++
			}
		}
	}, func(t *testing.T, _ *memory, q *writeback.Queue) {
		put(t, q, "a", "b", "c")
		ended(t, q, "c")
		put(t, q, "d", "e")
		ended(t, q, "e")
		if len(calls) != 2 || len(calls[0]) != 3 || len(calls[1]) != 2 || waits != 1 {
			t.Fatalf("%d waits, calls %+v", waits, calls)
		}
		for _, e := range calls[0] {
			if !e.Outcome.Refused || e.Outcome.Err != "declined" {
				t.Errorf("%+v", e.Outcome)
			}
		}
	})
}
