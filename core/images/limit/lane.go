package limit

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
)

const (
	startRPS     = 5.0
	startRPSQuay = 2.0 // which refuses "a few requests per second"
	floorRPS     = 1.0 / 60
	failingRPS   = 1.0         // "unavailable" makes a lane no slower, so that who asks again soon knows when it is over
	step         = 1.0         // requests a second more, for each second that went well
	crawl        = time.Minute // between two steps near the rate that was last refused
	near         = 0.9         // of that rate is where crawling begins
)

// lane is what is known of one host and identity. The limiter's mutex guards it.
type lane struct {
	key     Key
	ceiling *gate // of the host
	users   int   // waiting, or with a turn not given back
	used    time.Time
	queues  [2]queue      // by class
	changed chan struct{} // closed, and made anew, when an answer changed the state

	rate    float64
	pace    gate
	refused float64   // the rate that was last refused; 0: none yet
	raised  time.Time // when the rate last changed
	held    bool      // the rate, and nothing else, made a request wait since then
	epoch   int       // number of cuts

	blocked time.Time // nothing is sent before
	reason  string    // why the lane was cut
	failing string    // what the last answer said if it was "unavailable"
	quota   quota

	requests, throttled uint64
}

func newLane(key Key, ceiling *gate, now time.Time) *lane {
	rate := startRPS
	if key.Host == "quay.io" || strings.HasSuffix(key.Host, ".quay.io") {
		rate = startRPSQuay
	}
	return &lane{key: key, ceiling: ceiling, changed: make(chan struct{}), rate: rate, raised: now}
}

// speed is the lane's own rate and burst: a second's worth, so that a new lane
// does not begin with all that the ceiling allows.
func (ln *lane) speed(c Limits) (time.Duration, int) {
	rate := min(ln.rate, c.RPS)
	return interval(rate), min(c.Burst, max(int(rate), 1))
}

// earliest is when a request of this class may go, as far as is known now, and
// what holds it back until then; a zero time is now.
func (ln *lane) earliest(class Class, now time.Time, c Limits) (at time.Time, why func() string) {
	hold := func(until time.Time, reason func() string) {
		if until.After(now) && until.After(at) {
			at, why = until, reason
		}
	}
	every, burst := ln.speed(c)
	pace := ln.pace.earliest(every, burst)
	hold(pace, func() string { return ln.paceReason(c) })
	hold(ln.ceiling.earliest(interval(c.RPS), c.Burst), func() string {
		return fmt.Sprintf("the configured %.4g requests a second, bursts of %d", c.RPS, c.Burst)
	})
	hold(ln.blocked, ln.blockReason)
	if class == Counted {
		hold(ln.quota.holds(now, c.Reserve), func() string { return ln.quota.reason(c.Reserve) })
	}
	ln.held = ln.held || pace.After(now) && at.Equal(pace)
	return at, why
}

func (ln *lane) blockReason() string { return cmp.Or(ln.failing, ln.reason) }

func (ln *lane) paceReason(c Limits) string {
	if reason := ln.blockReason(); reason != "" {
		return fmt.Sprintf("%.3g requests a second after %s", min(ln.rate, c.RPS), reason)
	}
	return fmt.Sprintf("%.3g requests a second until the registry proves to take more", min(ln.rate, c.RPS))
}

func (ln *lane) grant(class Class, now time.Time, c Limits, t *Turn) *Turn {
	every, _ := ln.speed(c)
	ln.pace.take(now, every)
	ln.ceiling.take(now, interval(c.RPS))
	ln.requests++
	t.epoch = ln.epoch
	if class == Counted {
		ln.quota.flying++
	}
	return t
}

// finish learns from an answer.
func (ln *lane) finish(t *Turn, answer *http.Response, body string, now time.Time, c Limits) {
	if t.class == Counted {
		ln.quota.flying--
	}
	if answer == nil {
		return
	}
	h := readHints(answer, body, now)
	if h.quota {
		ln.quota.learn(h, t.serial, now)
	}
	switch {
	case h.refused:
		ln.refuse(t, h, now, c)
	case h.failing:
		ln.fail(t, h, now)
	case answer.StatusCode < 500:
		ln.succeed(t, now, c)
	}
	close(ln.changed)
	ln.changed = make(chan struct{})
}

// refuse halves the rate, once for all requests that were under way together,
// and blocks the lane as long as the registry asks for.
func (ln *lane) refuse(t *Turn, h hints, now time.Time, c Limits) {
	ln.throttled++
	ln.reason = h.reason
	ln.blocked = later(ln.blocked, now.Add(h.retryAfter))
	if t.epoch != ln.epoch {
		return
	}
	ln.epoch++
	ln.refused = min(ln.rate, c.RPS)
	ln.rate = min(max(ln.refused/2, floorRPS), c.RPS)
	ln.raised, ln.held = now, false
	every, burst := ln.speed(c)
	ln.pace.drain(now, every, burst)
}

// fail blocks the lane as long as a registry that is unavailable asks for. It
// halves the rate, too, since some proxies refuse too many in this way, but not
// below failingRPS, and it proves nothing about a rate: with the first answer
// that is good the lane speeds up again.
func (ln *lane) fail(t *Turn, h hints, now time.Time) {
	ln.throttled++
	ln.failing = h.reason
	ln.blocked = later(ln.blocked, now.Add(h.retryAfter))
	if t.epoch != ln.epoch || ln.rate <= failingRPS {
		return
	}
	ln.epoch++
	ln.rate = max(ln.rate/2, failingRPS)
	ln.raised, ln.held = now, false
}

// succeed raises the rate by a step if a second, or near the rate that was
// refused a minute, went well and the rate was what held requests back:
// otherwise the success proves nothing about a higher one.
func (ln *lane) succeed(t *Turn, now time.Time, c Limits) {
	ln.failing = ""
	wait := time.Second
	if ln.refused > 0 && ln.rate >= near*ln.refused {
		wait = crawl
	}
	if t.epoch != ln.epoch || !ln.held || now.Sub(ln.raised) < wait {
		return
	}
	next := ln.rate + min(step, ln.rate) // at most twice, which matters near the floor
	if knee := near * ln.refused; ln.rate < knee {
		next = min(next, knee)
	}
	ln.rate = min(next, max(c.RPS, ln.rate))
	ln.raised, ln.held = now, false
}

// idle reports whether nothing would be lost with the lane but its rate.
func (ln *lane) idle(now time.Time) bool {
	return ln.users == 0 && !ln.blocked.After(now) && !ln.pace.full.After(now) && !ln.quota.reset.After(now)
}

func (ln *lane) budget(now time.Time, c Limits) Budget {
	b := Budget{
		Host: ln.key.Host, Identity: ln.key.Identity,
		RPS: round(min(ln.rate, c.RPS)), Ceiling: c.RPS, Burst: c.Burst,
		Waiting:  len(ln.queues[Counted].waiting) + len(ln.queues[Free].waiting),
		Requests: ln.requests, Throttled: ln.throttled,
		Quota: ln.quota.announced(now, c.Reserve),
	}
	if ln.blocked.After(now) {
		b.BlockedUntil, b.Why = ln.blocked.UTC(), ln.blockReason()
	} else if until := ln.quota.holds(now, c.Reserve); until.After(now) {
		b.BlockedUntil, b.Why = until.UTC(), ln.quota.reason(c.Reserve)
	} else if ln.failing != "" || ln.refused > 0 && ln.rate < min(ln.refused, c.RPS) {
		b.Why = ln.paceReason(c)
	}
	return b
}

func round(x float64) float64 { return math.Round(x*1000) / 1000 }
