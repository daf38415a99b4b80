package deadline

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := Within(t.Context(), time.Minute)
		defer cancel()
		if err := Because(ctx, context.Canceled); !errors.Is(err, context.Canceled) {
			t.Errorf("before its end: %v", err)
		}
		<-ctx.Done()
		if err := Because(ctx, fmt.Errorf("ask: %w", ctx.Err())); err.Error() != "timeout of 1m0s has passed" {
			t.Errorf("after its end: %v", err)
		}
		boom := errors.New("boom")
		if err := Because(ctx, boom); !errors.Is(err, boom) {
			t.Errorf("an error of its own: %v", err)
		}
		forever, cancel := Within(t.Context(), 0)
		defer cancel()
		if _, has := forever.Deadline(); has {
			t.Error("zero is a deadline")
		}
	})
}
