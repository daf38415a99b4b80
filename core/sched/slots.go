package sched

import (
	"context"
	"sync"
	"time"
)

// Slots bounds how many operations are busy at once. One that lasts for longer
// than the patience gives its slot to others: by then it only waits for something
// outside, and a few that wait for long must not stop everything. Safe for
// concurrent use.
type Slots struct {
	taken    chan struct{}
	patience time.Duration
}

// NewSlots makes n slots.
func NewSlots(n int, patience time.Duration) *Slots {
	return &Slots{taken: make(chan struct{}, n), patience: patience}
}

// Enter waits for a slot. leave gives it back; it may be called more than once.
func (s *Slots) Enter(ctx context.Context) (leave func(), err error) {
	select {
	case s.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	give := sync.OnceFunc(func() { <-s.taken })
	timer := time.AfterFunc(s.patience, give)
	return func() {
		timer.Stop()
		give()
	}, nil
}
