package resources

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstPause   = 250 * time.Millisecond // before the server is asked again
	longestPause = 30 * time.Second
)

// pause is the growing time between tries.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{firstPause} }

func (p *pause) reset() { p.next = firstPause }

// wait waits, less long than the next time, or until ctx ends.
func (p *pause) wait(ctx context.Context) {
	sleep(ctx, p.next-rand.N(p.next/4))
	p.next = min(longestPause, 2*p.next)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
