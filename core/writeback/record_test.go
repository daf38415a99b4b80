package writeback_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// What a former queue tried says nothing about the changes of the next one,
// which numbers them anew.
func TestNextQueueBeginsAnew(t *testing.T) {
	files, changes := many(2)
	files["app001.yaml"] = manifest("app001", "2")
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.submit(changes[0])
	g.Start()
	g.wait(changes[0].ID)
	if err := g.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	next := newRig(t, r, func(o *writeback.Options) { o.Store = g.store })
	next.submit(changes[1])
	next.Start()
	if o := next.wait(changes[1].ID); !o.Unchanged || o.Err != "" {
		t.Errorf("%+v", o)
	}
	for _, kind := range []state.Kind[any]{"writeback", "writeback-try"} {
		if ids, err := kind.IDs(g.store); len(ids) != 0 || err != nil {
			t.Errorf("%s: %q is left over, %v", kind, ids, err)
		}
	}
}

// A record that nobody can read is named, stays, and stops no other.
func TestUnreadableRecord(t *testing.T) {
	files, changes := many(2)
	r := newRemote(t, files)
	first := newRig(t, r, nil)
	first.submit(changes[0])
	const broken state.Kind[string] = "writeback"
	for _, key := range []string{"0000000000000007", "no number"} {
		if err := broken.Put(first.store, key, "nonsense"); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	g := newRig(t, r, func(o *writeback.Options) {
		o.Store, o.Logger = first.store, slog.New(slog.NewTextHandler(&log, nil))
	})
	if got := strings.Count(log.String(), "unreadable"); got != 2 || !strings.Contains(log.String(), "key=0000000000000007") {
		t.Error(log.String())
	}
	g.submit(changes[1])
	g.Start()
	for _, c := range changes {
		if o := g.wait(c.ID); o.Err != "" {
			t.Errorf("%+v", o)
		}
	}
	if ids, err := broken.IDs(first.store); len(ids) != 2 || err != nil {
		t.Errorf("left: %q, %v", ids, err)
	}
}
