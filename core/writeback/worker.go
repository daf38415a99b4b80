package writeback

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
)

// gatherings bounds how long changes that keep coming delay a commit, in quiet
// times.
const gatherings = 10

// shortest is how long a change waits alone at least, whatever its edits ask for.
const shortest = time.Second

// worker works for one lane: it exists while something is pending, its
// goroutine runs unless the queue has not started or is closed. The queue's mu
// guards it.
type worker struct {
	pending []*entry // in the order of their numbers
	running bool
	wake    chan struct{} // holds one token: look again

	first, last time.Time // arrivals that wait for a commit
	next        time.Time // after a failure: when to try again
	told        bool      // the failure said so
	failures    int
	err         error     // of the last failure, until something succeeds
	began       time.Time // the last try
	committing  bool
}

func newWorker() *worker { return &worker{wake: make(chan struct{}, 1)} }

// arrive takes e into what is pending. Somebody who waits for it does not wait
// for a back-off.
func (w *worker) arrive(e *entry, quiet time.Duration) {
	w.pending = append(w.pending, e)
	w.last = time.Now()
	if w.first.IsZero() {
		w.first = w.last
	}
	if soon := w.last.Add(quiet); e.change.Cause.byPerson() && w.next.After(soon) {
		w.next = soon
	}
}

func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// retry has everything that waits after a failure tried at a time.
func (w *worker) retry(at time.Time) {
	w.next = at
	for _, e := range w.pending {
		e.hold = at
	}
	w.nudge()
}

// due returns when the next try begins.
func (w *worker) due(quiet time.Duration) time.Time {
	if w.failures > 0 {
		return w.next
	}
	if hold := w.held(); !hold.IsZero() {
		return hold
	}
	if w.first.IsZero() {
		return time.Time{} // nothing new: what is pending was put off
	}
	due, latest := w.last.Add(quiet), w.first.Add(gatherings*quiet)
	if due.After(latest) {
		return latest
	}
	return due
}

// held returns until when all that is pending waits, zero if some of it does not.
func (w *worker) held() time.Time {
	var until time.Time
	for _, e := range w.pending {
		if e.hold.IsZero() {
			return time.Time{}
		}
		if until.IsZero() || e.hold.Before(until) {
			until = e.hold
		}
	}
	return until
}

// States of a Status.
const (
	Gathering  = "gathering"  // waits whether more comes
	Committing = "committing" // at work
	Retrying   = "retrying"   // all waits for another try: Error says why, Next when that is
	Stopped    = "stopped"    // the queue is closed, or not started yet
)

// Status is what is pending for one branch of a source.
type Status struct {
	Source  string    `json:"source"`
	Branch  string    `json:"branch,omitempty"`
	State   string    `json:"state"`
	Pending int       `json:"pending"`        // changes
	Since   time.Time `json:"since,omitzero"` // when the oldest of them was decided
	// Failures counts the tries in a row that failed.
	Failures int       `json:"failures,omitempty"`
	Error    string    `json:"error,omitempty"`
	Next     time.Time `json:"next,omitzero"` // when it is tried again
}

func (w *worker) status(l lane) Status {
	s := Status{Source: l.source, Branch: l.branch, Pending: len(w.pending), Failures: w.failures, State: Gathering}
	for _, e := range w.pending {
		if s.Since.IsZero() || e.change.At.Before(s.Since) {
			s.Since = e.change.At
		}
	}
	if err := w.reason(); err != nil {
		s.Error = err.Error()
	}
	switch hold := w.held(); {
	case !w.running:
		s.State = Stopped
	case w.committing:
		s.State = Committing
	case w.failures > 0:
		s.State, s.Next = Retrying, w.next
	case !hold.IsZero():
		s.State, s.Next = Retrying, hold
	}
	return s
}

// reason is why everything waits, or the first that waits alone.
func (w *worker) reason() error {
	if w.err != nil {
		return w.err
	}
	for _, e := range w.pending {
		if e.err != nil {
			return e.err
		}
	}
	return nil
}

// work works for l until nothing is pending or the queue is closed.
func (q *Queue) work(l lane, w *worker) {
	q.tell(l, q.take(w, func(e *entry) bool { return e.outcome != nil }))
	for q.gather(l, w) {
		batch := q.take(w, func(e *entry) bool { return e.outcome == nil && e.hold.IsZero() })
		ctx, cancel := context.WithTimeout(q.ctx, q.o.Timeout)
		err := q.commit(ctx, l, batch)
		cancel()
		if q.settle(l, w, err) {
			q.o.Waiting(l.source)
		}
	}
}

// gather waits until it is time for a commit. It returns false, and the worker
// is over, if there is nothing to do or the queue is closed.
func (q *Queue) gather(l lane, w *worker) bool {
	for {
		q.mu.Lock()
		if len(w.pending) == 0 || q.closed {
			w.running = false
			if len(w.pending) == 0 {
				delete(q.lanes, l)
			}
			q.mu.Unlock()
			return false
		}
		wait := time.Until(w.due(q.o.Quiet))
		if wait <= 0 {
			w.committing, w.began, w.first = true, time.Now(), time.Time{}
			w.release(w.began)
			q.mu.Unlock()
			return true
		}
		q.mu.Unlock()
		q.sleep(q.ctx, wait, w.wake)
	}
}

// release ends the waiting of what has waited alone for long enough.
func (w *worker) release(now time.Time) {
	for _, e := range w.pending {
		if !e.hold.After(now) {
			e.hold = time.Time{}
		}
	}
}

// take returns what is pending and chosen.
func (q *Queue) take(w *worker, chosen func(*entry) bool) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	var batch []*entry
	for _, e := range w.pending {
		if chosen(e) {
			batch = append(batch, e)
		}
	}
	return batch
}

// settle notes how a try went, and after a failure when the next one is. It
// reports whether something waits.
func (q *Queue) settle(l lane, w *worker, err error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w.committing = false
	if err == nil {
		w.failures, w.err, w.next, w.told = 0, nil, time.Time{}, false
		return w.reason() != nil
	}
	if q.closed {
		return false // it goes on with the next queue
	}
	w.failures++
	_, w.told = sdk.RetryDelay(err)
	delay := retryDelay(err, q.o.Backoff.Delay(w.failures, q.o.Rand()))
	w.err, w.next = err, time.Now().Add(delay)
	q.o.Logger.Warn("cannot commit yet: changes wait", "source", l.source, "branch", l.branch, "changes", len(w.pending),
		"failures", w.failures, "retry_in", delay.Round(time.Millisecond), "err", err)
	return true
}

// hold has what a plan could not try wait alone.
func (q *Queue) hold(l lane, p *plan) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range p.items {
		if i.state != later {
			i.err = nil
			continue
		}
		i.err = i.errs[slices.IndexFunc(i.errs, passing)]
		delay := max(retryDelay(i.err, 0), shortest)
		i.hold = time.Now().Add(delay)
		q.o.Logger.Info("a change waits", "source", l.source, "branch", l.branch, "change", i.change.ID, "retry_in", delay, "err", i.err)
	}
}

// sleep returns after d, when woken, or when the queue is closed; false says
// that ctx ended or that it was closed.
func (q *Queue) sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-q.stop:
		return false
	case <-ctx.Done():
		return false
	}
}

func bySeq(a, b *entry) int { return cmp.Compare(a.seq, b.seq) }
