// Package limit keeps requests to container registries below what they allow,
// known or not: below the configured ceiling always, and below what the
// registry's own answers tell (429, Retry-After, remaining quotas).
//
// There is one lane for each host and identity, because registries count by
// account, or by address where there is none. A lane starts slow, speeds up by
// steps while the registry answers and the lane is what holds requests back, and halves
// its rate when the registry says too many. That it is unavailable (503) slows a
// lane down a little, and no longer than it lasts. The ceiling of a host holds for all
// its lanes together. Waiting requests of a lane are let through in the order
// in which they came, and wait as long as their contexts live.
package limit

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	defaultRPS     = 50
	defaultBurst   = 10
	defaultReserve = 0.3
	defaultLanes   = 1024
)

// Key names a lane.
type Key struct {
	Host     string // as requests count there: registry or token server, with port
	Identity string // ID of the credential; "" is anonymous
}

// Limits bound the requests to one host: over any span of time at most Burst
// plus RPS times the seconds of the span.
type Limits struct {
	RPS   float64 // zero: 50
	Burst int     // zero: 10
	// Reserve is the part of an announced quota, from 0 to 1, that is left to
	// others, the kubelets of the clusters above all.
	Reserve float64
}

// Class tells which of a registry's quotas a request uses up.
type Class int

const (
	// Counted requests use up the quota that the registry announces.
	Counted Class = iota
	// Free ones do not, as a HEAD on Docker Hub. The rate holds for them too.
	Free
)

// Options configure a Limiter. The zero value is useful.
type Options struct {
	// Ceiling returns what is configured for a host. It is asked anew at every
	// request, so that a reload takes effect, and must return at once. Nil: 50 requests a second, bursts
	// of 10, and 0.3 of a quota left to others.
	Ceiling func(host string) Limits
	// MaxLanes is how many lanes are kept; the ones idle for the longest time
	// are forgotten. Lanes that are in use stay, and blocked ones up to four
	// times as many. Default 1024.
	MaxLanes int
}

// Limiter lets requests through. Its methods may be called at the same time
// from several goroutines.
type Limiter struct {
	opts Options

	mu    sync.Mutex // guards everything below, and all lanes
	lanes map[Key]*lane
	hosts map[string]*gate // the ceilings, shared by the lanes of a host
	turns uint64           // granted so far
}

// New returns a Limiter. It needs no closing.
func New(o Options) *Limiter {
	if o.Ceiling == nil {
		o.Ceiling = func(string) Limits { return Limits{Reserve: defaultReserve} }
	}
	if o.MaxLanes <= 0 {
		o.MaxLanes = defaultLanes
	}
	return &Limiter{opts: o, lanes: map[Key]*lane{}, hosts: map[string]*gate{}}
}

// Turn is the right to send one request, and must be given back with Done.
type Turn struct {
	limiter *Limiter
	lane    *lane
	class   Class
	serial  uint64 // in the order of granting
	epoch   int    // how often the lane had been cut
	done    bool
}

// Wait returns when a request of this class may be sent. It fails only when ctx
// ends, with a *WaitError.
func (l *Limiter) Wait(ctx context.Context, key Key, class Class) (*Turn, error) {
	ln := l.enter(key)
	turn, err := l.wait(ctx, ln, class)
	if err != nil {
		l.leave(ln)
		return nil, err
	}
	return turn, nil
}

// Done reports what came of the request: the answer's status and headers, and
// the text of its body where it is an error, since some registries say there
// how long to wait. A nil answer means that none came. Only the first call
// counts.
func (t *Turn) Done(answer *http.Response, body string) {
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.done {
		return
	}
	t.done = true
	t.lane.finish(t, answer, body, time.Now(), l.ceiling(t.lane.key.Host))
	l.release(t.lane)
}

// wait queues for the lane's class and then for the moment when all bounds are
// kept.
func (l *Limiter) wait(ctx context.Context, ln *lane, class Class) (*Turn, error) {
	if ctx.Err() != nil {
		return nil, l.gaveUp(ctx, ln, class)
	}
	q := &ln.queues[class]
	l.mu.Lock()
	w := q.join()
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		q.quit(w)
		l.mu.Unlock()
	}()
	select {
	case <-w.first:
	case <-ctx.Done():
		return nil, l.gaveUp(ctx, ln, class)
	}
	for {
		turn, until, changed := l.try(ln, class)
		if turn != nil {
			return turn, nil
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil, l.gaveUp(ctx, ln, class)
		}
	}
}

// try grants a turn now, or says when to try again: at that time, or when the
// lane changes.
func (l *Limiter) try(ln *lane, class Class) (*Turn, time.Time, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, ceiling := time.Now(), l.ceiling(ln.key.Host)
	if at, _ := ln.earliest(class, now, ceiling); at.After(now) {
		return nil, at, ln.changed
	}
	l.turns++
	return ln.grant(class, now, ceiling, &Turn{limiter: l, lane: ln, class: class, serial: l.turns}), now, nil
}

func (l *Limiter) ceiling(host string) Limits { return l.opts.Ceiling(host).bounded() }

func (l *Limiter) gaveUp(ctx context.Context, ln *lane, class Class) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	e := &WaitError{Host: ln.key.Host, cause: context.Cause(ctx)}
	if at, why := ln.earliest(class, now, l.ceiling(ln.key.Host)); !at.IsZero() {
		e.Until, e.Why = at, why()
	}
	return e
}

// WaitError says that a context ended before a request could be sent.
type WaitError struct {
	Host  string
	Until time.Time // when the lane lets the next request through; zero: now, and others came first
	Why   string

	cause error
}

// Error tells what was waited for and why the wait ended.
func (e *WaitError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("%s: queued for its rate limit: %v", e.Host, e.cause)
	}
	return fmt.Sprintf("%s: waiting until %s (%s): %v", e.Host, e.Until.UTC().Format(time.RFC3339), e.Why, e.cause)
}

// Unwrap returns why the context ended.
func (e *WaitError) Unwrap() error { return e.cause }
