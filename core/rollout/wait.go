package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// watchRetry is the pause before a watch that broke is opened again.
const watchRetry = time.Second

// wait watches the objects refs of owner until each one is current. It
// returns their last known health, and an error that names what is not ready
// when one has failed for good, the timeout has passed, or ctx ends.
func wait(ctx context.Context, a applier.Applier, owner string, refs []applier.Ref, timeout time.Duration, report func(Progress)) (map[applier.Ref]applier.ObjectStatus, error) {
	w := newWaiter(refs, report)
	if len(refs) == 0 {
		return w.statuses, nil
	}
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := w.watch(timed, a, owner)
		switch {
		case w.finished():
			return w.statuses, w.failure()
		case ctx.Err() != nil:
			return w.statuses, context.Cause(ctx)
		case timed.Err() != nil:
			return w.statuses, fmt.Errorf("not ready after %s: %s", timeout, w.pending())
		case err == nil:
			err = errors.New("it ended without a reason")
		}
		report(Progress{Step: StepWait, Text: fmt.Sprintf("watch again after: %v", err)})
		sleep(timed, watchRetry)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// waiter collects statuses until the wait is decided.
type waiter struct {
	report func(Progress)

	mu       sync.Mutex
	wanted   map[applier.Ref]bool
	statuses map[applier.Ref]applier.ObjectStatus
	decided  bool // everything is current, or something failed
	complete bool // the watch has told the status of everything once
}

func newWaiter(refs []applier.Ref, report func(Progress)) *waiter {
	w := &waiter{report: report, wanted: map[applier.Ref]bool{}, statuses: map[applier.Ref]applier.ObjectStatus{}}
	for _, r := range refs {
		w.wanted[r.Identity()] = true
	}
	return w
}

// watch runs one Watch until it ends or the wait is decided.
func (w *waiter) watch(ctx context.Context, a applier.Applier, owner string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w.mu.Lock()
	w.complete = false
	w.mu.Unlock()
	return a.Watch(ctx, owner, func(s applier.ObjectStatus) {
		if w.add(s) {
			stop()
		}
	})
}

// add records s and reports whether the wait is decided.
func (w *waiter) add(s applier.ObjectStatus) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch id := s.Ref.Identity(); {
	case s.Ref == (applier.Ref{}):
		w.complete = true
	case w.wanted[id]:
		before, known := w.statuses[id]
		w.statuses[id] = s
		if !known || before.Health != s.Health || before.Message != s.Message {
			w.report(Progress{
				Step: StepWait, Done: w.current(), Total: len(w.wanted),
				Object: &Object{Ref: s.Ref, Health: s.Health, Reason: s.Message},
			})
		}
	}
	// One pass over everything first, so that a failure is reported together
	// with the others and not alone.
	w.decided = w.complete && (w.current() == len(w.wanted) || w.stalled() > 0)
	return w.decided
}

func (w *waiter) current() int { return w.count(applier.Current) }
func (w *waiter) stalled() int { return w.count(applier.Stalled) }

func (w *waiter) count(h applier.Health) int {
	n := 0
	for _, s := range w.statuses {
		if s.Health == h {
			n++
		}
	}
	return n
}

func (w *waiter) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.decided
}

func (w *waiter) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled() == 0 {
		return nil
	}
	return fmt.Errorf("failed: %s", w.list(func(h applier.Health) bool { return h == applier.Stalled }))
}

// pending names what is not current.
func (w *waiter) pending() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list(func(h applier.Health) bool { return h != applier.Current })
}

// list names the wanted objects whose health matches, at most five.
func (w *waiter) list(match func(applier.Health) bool) string {
	const most = 5
	var names []string
	for ref := range w.wanted {
		s := w.statuses[ref] // of one never heard of: no Health
		if !match(s.Health) {
			continue
		}
		name := ref.String()
		if s.Message != "" {
			name += " (" + s.Message + ")"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
