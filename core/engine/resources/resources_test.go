package resources_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("down")

// cluster is an applier.ResourceKeeper that fails when a test says so.
type cluster struct {
	mu      sync.Mutex
	down    error
	gone    bool
	slow    time.Duration
	follows int
	patches []string
	status  resource.Status // as it was written last
	events  []string
}

func (c *cluster) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cluster) Follow(ctx context.Context, _ applier.ResourceFilter, emit func(applier.Resource)) error {
	c.mu.Lock()
	c.follows++
	down, name := c.down, fmt.Sprint("seen-", c.follows)
	c.mu.Unlock()
	if down != nil {
		return down
	}
	emit(applier.Resource{Ref: applier.Ref{Kind: "HelmRelease", Name: name}})
	emit(applier.Resource{})
	<-ctx.Done()
	return ctx.Err()
}

func (c *cluster) PatchResource(ctx context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	c.mu.Lock()
	down, gone, slow := c.down, c.gone, c.slow
	c.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return applier.Resource{}, ctx.Err()
	}
	switch {
	case gone:
		return applier.Resource{}, applier.ErrNoResource
	case down != nil:
		return applier.Resource{}, down
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Status == nil {
		c.patches = append(c.patches, "+"+p.AddFinalizer+"-"+p.RemoveFinalizer)
		return applier.Resource{}, nil
	}
	if err := json.Unmarshal(p.Status, &c.status); err != nil {
		return applier.Resource{}, err
	}
	c.patches = append(c.patches, c.status.ReleaseName)
	return applier.Resource{}, nil
}

func (c *cluster) TellResource(_ context.Context, ev applier.ResourceEvent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, ev.Reason)
	return c.down
}

func (c *cluster) ReadConfig(context.Context, applier.ConfigRef) (string, error) { return "", nil }

func (c *cluster) written() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.patches)
}

// named changes a status so that it can be told.
func named(name string) func(resource.Resource, resource.Status) resource.Status {
	return func(_ resource.Resource, s resource.Status) resource.Status {
		s.ReleaseName = name
		return s
	}
}

func TestFollowerBeginsAnewAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{down: errDown}
		var mu sync.Mutex
		var batches []resources.Batch
		f := resources.Follow(resources.Options{Keeper: c, Logger: slog.New(slog.DiscardHandler), Handle: func(_ context.Context, b resources.Batch) {
			mu.Lock()
			defer mu.Unlock()
			batches = append(batches, b)
		}})
		synctest.Wait()
		mu.Lock()
		if last := batches[len(batches)-1]; !errors.Is(last.Lost, errDown) {
			t.Errorf("nobody was told why nothing is seen: %+v", last)
		}
		batches = nil
		mu.Unlock()
		c.set(func() { c.down = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		f.Close()
		began, seen, passed := false, false, false
		for _, b := range batches {
			began = began || b.Began
			for _, r := range b.List {
				seen = seen || began && r.Ref.Name != ""
				passed = passed || seen && r.Ref == (applier.Ref{})
			}
		}
		if !passed {
			t.Errorf("no whole pass in %+v", batches)
		}
	})
}

func TestWriterWritesTheNewestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{slow: time.Second}
		w := resources.NewWriter(c, slog.New(slog.DiscardHandler))
		r := resource.Resource{UID: "1"}
		for _, name := range []string{"a", "b", "c"} {
			w.Update("x", r, named(name))
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		w.Update("x", r, named("c"))
		time.Sleep(time.Minute)
		if got := c.written(); got != "[a c]" {
			t.Errorf("wrote %s", got)
		}
		w.Close()
	})
}

func TestWriterTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{down: errDown}
		w := resources.NewWriter(c, slog.New(slog.DiscardHandler))
		w.Update("x", resource.Resource{UID: "1"}, named("a"))
		w.Update("x", resource.Resource{UID: "1"}, named("b"))
		w.Tell(applier.ResourceEvent{Reason: "Lost"})
		time.Sleep(time.Minute)
		c.set(func() { c.down = nil })
		time.Sleep(10 * time.Minute)
		if got := c.written(); got != "[b]" {
			t.Errorf("wrote %s", got)
		}
		c.set(func() { c.gone = true })
		w.Update("x", resource.Resource{UID: "1"}, named("c"))
		time.Sleep(10 * time.Minute)
		c.set(func() { c.gone = false })
		w.Update("x", resource.Resource{UID: "2"}, named("d"))
		w.Close()
		if got := c.written(); got != "[b d]" {
			t.Errorf("wrote %s", got)
		}
	})
}

func TestWriterEndsThoughTheClusterHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{slow: time.Hour}
		w := resources.NewWriter(c, slog.New(slog.DiscardHandler))
		w.Update("x", resource.Resource{UID: "1"}, func(r resource.Resource, s resource.Status) resource.Status {
			return r.Progressed(named("a")(r, s), release.Progress{Phase: release.PhaseInstalling}, time.Now())
		})
		began := time.Now()
		w.Close()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s to end", took)
		}
	})
}

func TestHold(t *testing.T) {
	c, r := &cluster{}, resource.Resource{UID: "1"}
	if err := errors.Join(resources.Hold(t.Context(), c, r), resources.Free(t.Context(), c, r)); err != nil {
		t.Fatal(err)
	}
	r.Finalized = true
	if err := resources.Hold(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	if got := c.written(); got != "[+sluice.dev/release- +-sluice.dev/release]" {
		t.Errorf("wrote %s", got)
	}
	c.set(func() { c.gone = true })
	if err := resources.Free(t.Context(), c, r); err != nil {
		t.Errorf("what has gone is held: %v", err)
	}
	if err := resources.Hold(t.Context(), c, resource.Resource{}); !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("what has gone was held: %v", err)
	}
}
