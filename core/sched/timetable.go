package sched

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"
)

// TimetableOptions configures a Timetable. The zero value is useful.
type TimetableOptions struct {
	// Jitter spreads each interval: 0.1 makes it up to a tenth shorter or
	// longer, so that keys which began together drift apart. Default 0.1;
	// negative for none.
	Jitter float64
	// Backoff is the delay of retries.
	Backoff Backoff
	// Rand returns numbers in [0,1). Default math/rand/v2.
	Rand func() float64
}

// Timetable tells when each key is due: at its interval, and sooner after a
// failure. It holds one goroutine and one timer however many keys there are.
// All methods are safe for concurrent use.
type Timetable struct {
	due  func(key string)
	opts TimetableOptions

	mu     sync.Mutex
	keys   map[string]*appointment
	queue  appointments
	closed bool
	wake   chan struct{} // the earliest appointment has changed
	done   sync.WaitGroup
}

// appointment is the next time that a key is due.
type appointment struct {
	key      string
	at       time.Time
	interval time.Duration
	failures int
	index    int // in the heap, -1 if nothing is planned
}

// NewTimetable returns a timetable that calls due for each key whose time has
// come, from one goroutine; due must not block and may call the timetable's
// methods, except Close. The caller owes it a Close.
func NewTimetable(due func(key string), o TimetableOptions) *Timetable {
	if o.Jitter == 0 {
		o.Jitter = 0.1
	}
	o.Jitter = max(o.Jitter, 0)
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	t := &Timetable{due: due, opts: o, keys: map[string]*appointment{}, wake: make(chan struct{}, 1)}
	t.done.Go(t.loop)
	return t
}

// Set makes key due first from now and then at each interval after; an
// interval of zero means that only Failed and Postpone make it due. A key that
// is known keeps its next time, unless the new interval brings it closer: a
// reload that changes nothing moves nothing.
func (t *Timetable) Set(key string, first, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, known := t.keys[key]
	if !known {
		a = &appointment{key: key, index: -1}
		t.keys[key] = a
		a.interval = interval
		t.plan(a, first)
		return
	}
	changed := a.interval != interval
	a.interval = interval
	if interval <= 0 {
		if changed && a.failures == 0 {
			t.cancel(a)
		}
		return
	}
	if next := t.spread(interval); changed && (a.index < 0 || time.Until(a.at) > next) {
		t.plan(a, next)
	}
}

// Remove forgets key.
func (t *Timetable) Remove(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.keys[key]; a != nil {
		t.cancel(a)
		delete(t.keys, key)
	}
}

// Succeeded says that the work for key went well: it is due again after its
// interval, and its next failure is the first.
func (t *Timetable) Succeeded(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	if a == nil {
		return
	}
	a.failures = 0
	if a.interval > 0 {
		t.plan(a, t.spread(a.interval))
	} else {
		t.cancel(a)
	}
}

// Failed says that the work for key failed: it is due again after a back-off,
// which grows with each failure in a row and never exceeds the interval. It
// returns the delay, or 0 if the key is not known.
func (t *Timetable) Failed(key string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	if a == nil {
		return 0
	}
	a.failures++
	delay := t.opts.Backoff.Delay(a.failures, t.opts.Rand())
	if a.interval > 0 {
		delay = min(delay, t.spread(a.interval))
	}
	t.plan(a, delay)
	return delay
}

// Postpone makes key due after delay and not before, whatever its interval:
// for an upstream that says when to come again, or when there is news.
func (t *Timetable) Postpone(key string, delay time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.keys[key]; a != nil {
		t.plan(a, delay)
	}
}

// Next returns when key is due. ok is false if nothing is planned for it.
func (t *Timetable) Next(key string) (at time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.keys[key]
	if a == nil || a.index < 0 {
		return time.Time{}, false
	}
	return a.at, true
}

// Failures returns how many times in a row the work for key has failed.
func (t *Timetable) Failures(key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.keys[key]; a != nil {
		return a.failures
	}
	return 0
}

// Close stops the timetable; due is not called any more once it has returned.
func (t *Timetable) Close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.nudge()
	t.done.Wait()
}

// loop sleeps until the earliest appointment and announces what is due.
func (t *Timetable) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next, ok := t.announce()
		if !ok {
			return
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-t.wake:
		}
	}
}

// announce calls due for all keys whose time has come, each of them planned
// anew for its next interval, and returns how long to sleep. ok is false after
// Close.
func (t *Timetable) announce() (sleep time.Duration, ok bool) {
	for {
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			return 0, false
		}
		if len(t.queue) == 0 {
			t.mu.Unlock()
			return time.Hour, true
		}
		a := t.queue[0]
		if wait := time.Until(a.at); wait > 0 {
			t.mu.Unlock()
			return wait, true
		}
		if a.interval > 0 {
			a.at = time.Now().Add(t.spread(a.interval))
			heap.Fix(&t.queue, a.index)
		} else {
			heap.Remove(&t.queue, a.index)
		}
		t.mu.Unlock()
		t.due(a.key)
	}
}

// plan makes a due after delay. t.mu is held.
func (t *Timetable) plan(a *appointment, delay time.Duration) {
	a.at = time.Now().Add(max(delay, 0))
	if a.index < 0 {
		heap.Push(&t.queue, a)
	} else {
		heap.Fix(&t.queue, a.index)
	}
	if a.index == 0 {
		t.nudge()
	}
}

// cancel unplans a. t.mu is held.
func (t *Timetable) cancel(a *appointment) {
	if a.index >= 0 {
		heap.Remove(&t.queue, a.index)
	}
}

func (t *Timetable) nudge() {
	select {
	case t.wake <- struct{}{}:
	default: // the loop will look anyway
	}
}

// spread returns d with jitter.
func (t *Timetable) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + t.opts.Jitter*(2*t.opts.Rand()-1)))
}

// appointments is a heap.Interface, earliest first, then by key.
type appointments []*appointment

func (q appointments) Len() int { return len(q) }

func (q appointments) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].key < q[j].key
}

func (q appointments) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *appointments) Push(x any) {
	a := x.(*appointment)
	a.index = len(*q)
	*q = append(*q, a)
}

func (q *appointments) Pop() any {
	last := len(*q) - 1
	a := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	a.index = -1
	return a
}
