package releases

import (
	"context"
	"time"
)

// fresh is how long an answer is shared.
const fresh = 20 * time.Second

// shared is an answer that all who ask at about the same time have together.
// Whoever comes first asks, the others wait for it. It may be an error: what the
// account has no right to list it need not try to list for each release.
type shared[T any] struct {
	turn  chan struct{} // full while somebody asks or looks
	asked time.Time     // when the question was sent
	value T
	err   error
}

func newShared[T any]() shared[T] { return shared[T]{turn: make(chan struct{}, 1)} }

// get returns an answer to a question that was sent a short time ago, and after
// since. The answer belongs to everybody: it must not be changed.
func (s *shared[T]) get(ctx context.Context, since time.Time, ask func(context.Context) (T, error)) (T, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
	if s.asked.After(since) && time.Since(s.asked) < fresh {
		return s.value, s.err
	}
	now := time.Now()
	value, err := ask(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil { // the trouble of this one alone
		return value, cause
	}
	s.asked, s.value, s.err = now, value, err
	return value, err
}
