// Package deadline gives work a time to end in, and tells in words when that was
// what ended it.
package deadline

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Within adds a timeout that names itself; zero adds none.
func Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("timeout of %s has passed", d))
}

// Because replaces a bare context error by why the context ended.
func Because(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return context.Cause(ctx)
	}
	return err
}
