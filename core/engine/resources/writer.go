package resources

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	patience  = 15 * time.Second // for one patch or event
	keepDying = 2 * time.Second  // for what is left to write at the end
	mostTold  = 256              // events that wait; more are dropped
)

// Writer writes the status of custom resources, and events about them. What
// cannot be written is tried again, and what changes faster than it can be
// written is written once. Its methods never block.
type Writer struct {
	keeper applier.ResourceKeeper
	log    *slog.Logger
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{}

	mu      sync.Mutex
	closing bool
	states  map[string]*state
	queue   []string // ids that are to be written
	events  []applier.ResourceEvent
}

// state is what the Writer knows of one resource.
type state struct {
	ref      applier.Ref
	uid      string
	written  resource.Status // as it is in the target
	wanted   resource.Status
	queued   bool
	failures int
	retry    *time.Timer
}

// NewWriter makes a Writer. The caller owes it a Close.
func NewWriter(k applier.ResourceKeeper, log *slog.Logger) *Writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Writer{keeper: k, log: log, cancel: cancel, wake: make(chan struct{}, 1), states: map[string]*state{}}
	w.done.Go(func() { w.loop(ctx) })
	return w
}

// Update has the status of r written after change. id is its name here. One that
// was made anew begins with the status that r has.
func (w *Writer) Update(id string, r resource.Resource, change func(resource.Resource, resource.Status) resource.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.states[id]
	if s == nil || s.uid != r.UID {
		s = &state{ref: r.Ref, uid: r.UID, written: r.Status, wanted: r.Status}
		w.states[id] = s
	}
	s.wanted = change(r, s.wanted)
	if _, changed := resource.Patch(s.written, s.wanted); changed && s.retry == nil {
		w.enqueue(id, s)
	}
}

// Tell has an event left about a resource.
func (w *Writer) Tell(ev applier.ResourceEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) < mostTold {
		w.events = append(w.events, ev)
	}
	w.nudge()
}

// Forget drops what is left to write about a resource.
func (w *Writer) Forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.states[id]; s != nil && s.retry != nil {
		s.retry.Stop()
	}
	delete(w.states, id)
}

// Close writes what is left, for a moment, and ends.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closing = true
	for _, s := range w.states {
		if s.retry != nil {
			s.retry.Stop()
		}
	}
	w.nudge()
	w.mu.Unlock()
	timer := time.AfterFunc(keepDying, w.cancel)
	defer timer.Stop()
	w.done.Wait()
	w.cancel()
}

// enqueue has s written. w.mu is held.
func (w *Writer) enqueue(id string, s *state) {
	if s.queued {
		return
	}
	s.queued = true
	w.queue = append(w.queue, id)
	w.nudge()
}

func (w *Writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (w *Writer) loop(ctx context.Context) {
	for {
		for w.next(ctx) {
		}
		w.mu.Lock()
		closing := w.closing
		w.mu.Unlock()
		if closing || ctx.Err() != nil {
			return
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// next writes one thing, and reports whether there was any.
func (w *Writer) next(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	w.mu.Lock()
	switch {
	case len(w.queue) > 0:
		id := w.queue[0]
		w.queue = w.queue[1:]
		s := w.states[id]
		if s == nil {
			w.mu.Unlock()
			return true
		}
		s.queued = false
		wanted := s.wanted
		patch, changed := resource.Patch(s.written, wanted)
		w.mu.Unlock()
		if changed {
			w.patch(ctx, id, s, wanted, applier.ResourcePatch{Ref: s.ref, UID: s.uid, Status: patch})
		}
		return true
	case len(w.events) > 0:
		ev := w.events[0]
		w.events = w.events[1:]
		w.mu.Unlock()
		w.tell(ctx, ev)
		return true
	}
	w.mu.Unlock()
	return false
}

func (w *Writer) patch(ctx context.Context, id string, s *state, wanted resource.Status, p applier.ResourcePatch) {
	patching, cancel := context.WithTimeout(ctx, patience)
	_, err := w.keeper.PatchResource(patching, p)
	cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		s.written, s.failures = wanted, 0
		if _, changed := resource.Patch(s.written, s.wanted); changed {
			w.enqueue(id, s)
		}
	case errors.Is(err, applier.ErrNoResource):
		if w.states[id] == s {
			delete(w.states, id)
		}
	case !w.closing:
		w.again(id, s, err)
	}
}

// again has s written later. w.mu is held.
func (w *Writer) again(id string, s *state, err error) {
	s.failures++
	if s.failures == 1 {
		w.log.Warn("the status of a resource cannot be written", "node", id, "err", err)
	}
	s.retry = time.AfterFunc(sched.Backoff{}.Delay(s.failures, rand.Float64()), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		s.retry = nil
		if w.states[id] == s && !w.closing {
			w.enqueue(id, s)
		}
	})
}

// tell leaves an event. One that is lost is no loss: the status says the same.
func (w *Writer) tell(ctx context.Context, ev applier.ResourceEvent) {
	telling, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.keeper.TellResource(telling, ev); err != nil && !errors.Is(err, applier.ErrNoResource) {
		w.log.Debug("an event about a resource cannot be left", "resource", ev.Ref.String(), "err", err)
	}
}
