package files

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Each calls f with the numbers below n, as many at a time as there are
// processors, and returns when all calls have. It leaves out what is left when
// ctx ends, and returns the cause.
func Each(ctx context.Context, n int, f func(i int)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
