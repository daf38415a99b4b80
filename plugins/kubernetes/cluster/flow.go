package cluster

import (
	"context"
	"sync"
	"time"
)

const (
	startInFlight = 8
	mostInFlight  = 64
	slowInFlight  = 4                      // slow answers alone take no more than this away: the machine may be busy with something else
	slowFactor    = 4                      // answers this much slower than the best mean that a queue builds up
	slowFloor     = 150 * time.Millisecond // below this nothing counts as slow
	breath        = 250 * time.Millisecond // at most one decrease in this time
)

// flow limits the requests in flight: one more for each round of good answers,
// a tenth fewer when answers get slow, half after an overload answer (429, 503).
type flow struct {
	mu       sync.Mutex
	limit    float64
	inFlight int
	waiting  []chan struct{}
	best     time.Duration // quickest answer of late
	lowered  time.Time
}

func newFlow() *flow { return &flow{limit: startInFlight} }

// enter waits for a free place. Each call that returns nil is paired with one
// of leave.
func (f *flow) enter(ctx context.Context) error {
	f.mu.Lock()
	if f.inFlight < int(f.limit) {
		f.inFlight++
		f.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	f.waiting = append(f.waiting, turn)
	f.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		f.giveUp(turn)
		return ctx.Err()
	}
}

func (f *flow) giveUp(turn chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, w := range f.waiting {
		if w == turn {
			f.waiting = append(f.waiting[:i], f.waiting[i+1:]...)
			return
		}
	}
	f.inFlight-- // the place had been given meanwhile
	f.admit()
}

// outcome of a request, as far as the limit is concerned.
type outcome int

const (
	good outcome = iota
	overloaded
	silent // says nothing about the server's load
)

func (f *flow) leave(took time.Duration, o outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
	switch o {
	case overloaded:
		f.lower(0.5, 1)
	case good:
		f.learn(took)
	case silent:
	}
	f.admit()
}

func (f *flow) learn(took time.Duration) {
	if f.best == 0 || took < f.best {
		f.best = took
	} else {
		f.best += (took - f.best) / 500 // forgets slowly
	}
	if took > max(slowFloor, slowFactor*f.best) {
		f.lower(0.9, slowInFlight)
	} else if f.inFlight+1 >= int(f.limit) {
		f.limit = min(mostInFlight, f.limit+1/f.limit)
	}
}

func (f *flow) lower(factor, least float64) {
	if now := time.Now(); now.Sub(f.lowered) >= breath {
		f.lowered = now
		f.limit = min(f.limit, max(least, f.limit*factor))
	}
}

// admit gives free places to those that wait, first come first served.
func (f *flow) admit() {
	for len(f.waiting) > 0 && f.inFlight < int(f.limit) {
		f.inFlight++
		close(f.waiting[0])
		f.waiting = f.waiting[1:]
	}
}
