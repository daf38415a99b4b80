package engine

import (
	"context"
	"sync"
	"time"
)

// slots bounds how many operations are busy at once. One that lasts gives its
// slot to others: by then it only waits, for a hook or for objects to become
// ready, and a few that wait for long must not stop everything.
type slots struct {
	taken    chan struct{}
	patience time.Duration
}

func newSlots(n int, patience time.Duration) *slots {
	return &slots{taken: make(chan struct{}, n), patience: patience}
}

// enter waits for a slot. leave gives it back; it may be called more than once.
func (s *slots) enter(ctx context.Context) (leave func(), err error) {
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
