package sched

import (
	"math"
	"time"
)

// Backoff computes delays that grow exponentially. Zero fields take their
// defaults.
type Backoff struct {
	Min    time.Duration // delay after the first failure; default 1 s
	Max    time.Duration // bound of all delays; default 5 min
	Factor float64       // growth with each failure; default 2
	// Jitter shortens each delay by up to this part, so that what failed
	// together does not retry together; default 0.2, negative for none.
	Jitter float64
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = time.Second
	}
	if b.Max <= 0 {
		b.Max = 5 * time.Minute
	}
	if b.Factor < 1 {
		b.Factor = 2
	}
	if b.Jitter == 0 {
		b.Jitter = 0.2
	}
	b.Jitter = min(max(b.Jitter, 0), 1)
	return b
}

// Delay returns how long to wait after that many failures in a row, from 1;
// random is a number in [0,1).
func (b Backoff) Delay(failures int, random float64) time.Duration {
	b = b.withDefaults()
	d := float64(b.Min) * math.Pow(b.Factor, float64(max(failures, 1)-1))
	d = min(d, float64(b.Max)) // also where Pow overflowed to +Inf
	return time.Duration(d * (1 - b.Jitter*random))
}
