package limit

import (
	"math"
	"time"
)

// maxBurst keeps the arithmetic of gates far from overflow.
const maxBurst = 10_000

// gate is a token bucket, kept as the moment at which it is full again (the
// "generic cell rate algorithm"). It counts whole nanoseconds and rounds the
// interval up, so that no rounding lets one request too many through: n
// requests through a gate take at least n-burst intervals.
type gate struct{ full time.Time }

// earliest is when the next request may pass.
func (g gate) earliest(interval time.Duration, burst int) time.Time {
	return g.full.Add(-time.Duration(burst-1) * interval)
}

// take lets one request pass.
func (g *gate) take(now time.Time, interval time.Duration) {
	g.full = later(g.full, now).Add(interval)
}

// drain leaves nothing in the bucket: the next request passes after an
// interval.
func (g *gate) drain(now time.Time, interval time.Duration, burst int) {
	g.full = later(g.full, now.Add(time.Duration(burst)*interval))
}

// interval is the time between two requests at a steady rate.
func interval(rps float64) time.Duration {
	return time.Duration(math.Ceil(float64(time.Second) / rps))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bounded fills in the defaults and keeps wrong values from doing harm.
func (l Limits) bounded() Limits {
	if !(l.RPS > 0) { // not a number too
		l.RPS = defaultRPS
	}
	l.RPS = min(max(l.RPS, 1e-4), 1e6)
	if l.Burst <= 0 {
		l.Burst = defaultBurst
	}
	l.Burst = min(l.Burst, maxBurst)
	l.Reserve = min(max(l.Reserve, 0), 1)
	return l
}
