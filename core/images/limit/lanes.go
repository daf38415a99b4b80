package limit

import (
	"maps"
	"slices"
	"time"
)

// enter returns the lane of key, and keeps it until leave.
func (l *Limiter) enter(key Key) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	ln := l.lanes[key]
	if ln == nil {
		l.forget(now)
		ceiling := l.hosts[key.Host]
		if ceiling == nil {
			ceiling = &gate{}
			l.hosts[key.Host] = ceiling
		}
		ln = newLane(key, ceiling, now)
		l.lanes[key] = ln
	}
	ln.users++
	ln.used = now
	return ln
}

func (l *Limiter) leave(ln *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(ln)
}

func (l *Limiter) release(ln *lane) {
	ln.users--
	ln.used = time.Now()
}

// manyLanes times as many lanes as are wanted are kept only while they are in
// use: a registry can send requests on to any number of hosts, and have each of
// them say "not before tomorrow".
const manyLanes = 4

// forget makes room for one more lane: first the idle one that was used the
// longest time ago. A host's ceiling goes when its bucket is full and no lane is
// left, so that nothing can be gained by being forgotten.
func (l *Limiter) forget(now time.Time) {
	if len(l.lanes) < l.opts.MaxLanes {
		return
	}
	lanes := slices.SortedFunc(maps.Values(l.lanes), func(a, b *lane) int { return a.used.Compare(b.used) })
	inUse := map[string]bool{}
	for _, ln := range lanes {
		over := func(most int) bool { return len(l.lanes) >= most }
		if over(l.opts.MaxLanes) && ln.idle(now) || over(manyLanes*l.opts.MaxLanes) && ln.users == 0 {
			delete(l.lanes, ln.key)
		} else {
			inUse[ln.key.Host] = true
		}
	}
	maps.DeleteFunc(l.hosts, func(host string, g *gate) bool { return !inUse[host] && !g.full.After(now) })
}
