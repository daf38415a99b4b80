package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newBus(t *testing.T, o event.Options) *event.Bus {
	t.Helper()
	b, err := event.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openRing(t *testing.T, dir string, limit int) (*state.Store, *state.Ring) {
	t.Helper()
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Ring("events", limit)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func publish(b *event.Bus, from, to int) {
	for i := from; i <= to; i++ {
		b.Publish(event.Event{Node: "sync.shop", Reason: "applied", Message: fmt.Sprint("event ", i)})
	}
}

// read returns "seq message" of the events after the number after, with the
// number of those lost before.
func read(t *testing.T, b *event.Bus, after uint64, limit int) []string {
	t.Helper()
	events, err := b.Since(after, limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range events {
		line := fmt.Sprintf("%d %s", e.Seq, e.Message)
		if e.Lost > 0 {
			line += fmt.Sprintf(" (%d lost)", e.Lost)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPublish(t *testing.T) {
	b := newBus(t, event.Options{})
	attrs := map[string]string{"k": "v"}
	e := b.Publish(event.Event{Reason: "applied", Attrs: attrs, Lost: 9})
	if e.Seq != 1 || e.Severity != event.Info || time.Since(e.Time) > time.Minute || e.Lost != 0 {
		t.Errorf("published %+v", e)
	}
	attrs["k"], e.Attrs["k"] = "changed", "changed"
	got, err := b.Subscribe(0, nil).Next(t.Context())
	if err != nil || got.Attrs["k"] != "v" {
		t.Errorf("a reader sees %v, %v", got.Attrs, err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if e := b.Publish(event.Event{Time: at, Severity: event.Error}); !e.Time.Equal(at) || e.Severity != event.Error {
		t.Errorf("published %+v", e)
	}
}

func TestSince(t *testing.T) {
	b := newBus(t, event.Options{Memory: 4})
	if got := read(t, b, 0, 0); got != nil {
		t.Errorf("an empty bus has %v", got)
	}
	publish(b, 1, 10)
	tests := map[string]struct {
		after uint64
		limit int
		want  []string
	}{
		"newest":             {9, 0, []string{"10 event 10"}},
		"none":               {10, 0, nil},
		"never given":        {99, 0, nil},
		"all there are":      {0, 2, []string{"5 event 5", "6 event 6"}},
		"older than kept":    {1, 1, []string{"5 event 5 (3 lost)"}},
		"just what is kept":  {4, 1, []string{"5 event 5"}},
		"in the middle, two": {6, 2, []string{"7 event 7", "8 event 8"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, read(t, b, tt.after, tt.limit)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMatchCarriesLossOn(t *testing.T) {
	b := newBus(t, event.Options{Memory: 4})
	publish(b, 1, 10)
	s := b.Subscribe(1, func(e event.Event) bool { return e.Seq%2 == 0 })
	for _, want := range []event.Event{{Seq: 6, Lost: 3}, {Seq: 8}, {Seq: 10}} {
		e, err := s.Next(t.Context())
		if err != nil || e.Seq != want.Seq || e.Lost != want.Lost {
			t.Errorf("got %d (%d lost), %v; want %d (%d lost)", e.Seq, e.Lost, err, want.Seq, want.Lost)
		}
	}
}

func TestSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := event.New(event.Options{})
		if err != nil {
			t.Fatal(err)
		}
		publish(b, 1, 1)
		s := b.Subscribe(b.Last(), nil)
		short, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if _, err := s.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next without news: %v", err)
		}
		go publish(b, 2, 3)
		for _, want := range []uint64{2, 3} {
			if e, err := s.Next(t.Context()); err != nil || e.Seq != want {
				t.Errorf("Next = %d, %v; want %d", e.Seq, err, want)
			}
		}
		go func() { publish(b, 4, 4); b.Close() }()
		if e, err := s.Next(t.Context()); err != nil || e.Seq != 4 {
			t.Errorf("Next = %d, %v; want 4", e.Seq, err)
		}
		if _, err := s.Next(t.Context()); !errors.Is(err, event.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
		if e := b.Publish(event.Event{}); e.Seq != 0 {
			t.Errorf("Publish after Close gave %d", e.Seq)
		}
	})
}

// A reader that never reads neither blocks publishers nor grows.
func TestSlowReader(t *testing.T) {
	b := newBus(t, event.Options{Memory: 8})
	s := b.Subscribe(0, nil)
	publish(b, 1, 1)
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(b, 2, 100_000)
	var lost, seen uint64
	for {
		e, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lost, seen = lost+e.Lost, seen+1
		if e.Seq == 100_000 {
			break
		}
	}
	if lost+seen != 99_999 || seen < 8 || seen > 16 {
		t.Errorf("saw %d, was told of %d lost", seen, lost)
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	s, ring := openRing(t, dir, 6)
	b, err := event.New(event.Options{Journal: ring, Memory: 2})
	if err != nil {
		t.Fatal(err)
	}
	publish(b, 1, 3)
	b.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, ring = openRing(t, dir, 6)
	if b, err = event.New(event.Options{Journal: ring, Memory: 2}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2 event 2", "3 event 3"}, read(t, b, 1, 0)); diff != "" {
		t.Errorf("after a restart:\n%s", diff)
	}
	publish(b, 4, 4)
	if diff := cmp.Diff([]string{"3 event 3", "4 event 4"}, read(t, b, 2, 0)); diff != "" {
		t.Errorf("from the journal, then from memory:\n%s", diff)
	}
	publish(b, 5, 7)
	b.Close()
	if diff := cmp.Diff([]string{"2 event 2", "3 event 3", "4 event 4"}, read(t, b, 0, 3)); diff != "" {
		t.Errorf("the oldest that are kept:\n%s", diff)
	}
	publish(b, 8, 9) // closed: nothing happens
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, ring = openRing(t, dir, 6)
	b = newBus(t, event.Options{Journal: ring})
	publish(b, 8, 9)
	if got := b.Last(); got != 9 {
		t.Errorf("numbers go on at %d, want 9", got)
	}
	b.Close()
	if diff := cmp.Diff([]string{"4 event 4 (1 lost)"}, read(t, b, 2, 1)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// After a crash, numbers that readers may have seen are not used again, and
// the gap is not called a loss.
func TestNumbersAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s, ring := openRing(t, dir, 10_000)
	if err := ring.Append(1, [][]byte{[]byte(`{"message":"event 1"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := ring.Reserve(1000); err != nil { // and 2 to 57 were published, not written
		t.Fatal(err)
	}
	b := newBus(t, event.Options{Journal: ring})
	publish(b, 1001, 1001)
	b.Close()
	want := []string{"1001 event 1001"}
	if diff := cmp.Diff(want, read(t, b, 57, 0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, read(t, b, 1, 0)); diff != "" {
		t.Error(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentReadersSeeOneOrder(t *testing.T) {
	s, ring := openRing(t, t.TempDir(), 10_000)
	b, err := event.New(event.Options{Journal: ring, Memory: 16})
	if err != nil {
		t.Fatal(err)
	}
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			sub, last := b.Subscribe(0, nil), uint64(0)
			for {
				e, err := sub.Next(context.Background())
				if errors.Is(err, event.ErrClosed) {
					break
				}
				if err != nil {
					t.Error(err)
					break
				}
				if e.Seq != last+1+e.Lost {
					t.Errorf("event %d after %d with %d lost", e.Seq, last, e.Lost)
				}
				last = e.Seq
			}
			if last != 800 {
				t.Errorf("last event seen is %d", last)
			}
		})
		writers.Go(func() { publish(b, 1, 200) })
	}
	writers.Wait()
	b.Close()
	readers.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
