package pluginhost

import (
	"math/rand/v2"
	"time"
)

// backoff spaces out the restarts of a plugin: min, doubled with each failure
// up to max, 20 % more or less, from the beginning again once a process has
// been healthy for reset. It never gives up.
type backoff struct {
	min, max, reset time.Duration
	failures        int
}

// next returns how long to wait after a process that ran for healthy.
func (b *backoff) next(healthy time.Duration) time.Duration {
	if healthy >= b.reset {
		b.failures = 0
	}
	d := double(b.min, b.max, b.failures)
	b.failures++
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// double doubles d n times, up to limit.
func double(d, limit time.Duration, n int) time.Duration {
	for range n {
		if d >= limit {
			break
		}
		d *= 2
	}
	return min(d, limit)
}
