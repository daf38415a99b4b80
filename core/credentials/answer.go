package credentials

import (
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk"
)

// How long things last.
const (
	// What ends is renewed somewhere between these parts of its life.
	refreshFrom, refreshTo = 0.5, 0.8
	// In the last tenth of its life, or the last lastMoments of it, callers
	// wait for the renewal, so that what they get does not end on its way.
	lastMoments = 10 * time.Second
	// What has no end is asked for anew this often while it is used; secrets
	// of a cluster are changed more often than files.
	recheck, recheckSecrets = 5 * time.Minute, time.Minute
	// A credential that has ended on receipt, which is what a skewed clock
	// makes of a good one, is used this long.
	skewedLife = time.Minute
	// Nothing is believed this long.
	nothingFor, noSecretFor = 5 * time.Minute, time.Minute
	// Who had nothing and fails has nothing still, for this long: images that
	// need no credential do not wait for a cluster that is away.
	nothingLeft = time.Hour
	// An anonymous request that the registry refuses makes providers be asked
	// again which said this long ago or longer that they have nothing.
	doubtAfter = 10 * time.Second
	// Explain asks about what was learned longer ago than this.
	freshFor = 5 * time.Second
	// Back-off is remembered this long after its end.
	remember = 10 * time.Minute
	// A question, with the start of a plugin, takes no longer than this.
	askTimeout  = 2 * time.Minute
	openTimeout = time.Minute
	// Closing an instance takes no longer.
	closeTimeout = 15 * time.Second
	// A provider may ask for a longer back-off, up to this.
	maxRetryAfter = time.Hour
	// So many failures in a row are worth a notice.
	manyFailures = 3
)

var failureBackoff = sched.Backoff{Min: time.Second, Max: 2 * time.Minute}

// retryDelay is how long to wait after the last of so many failures in a row.
func retryDelay(err error, failures int, random float64) time.Duration {
	if d, ok := sdk.RetryDelay(err); ok {
		return min(max(d, failureBackoff.Min), maxRetryAfter)
	}
	if sdk.IsPermanent(err) {
		return failureBackoff.Max
	}
	return failureBackoff.Delay(failures, random)
}

// answer is what a provider last said for a key: a grant, that it has nothing
// (err is a *nothingError), or that it failed. A failure does not touch
// the grant from before. Guarded by the issuer's mutex.
type answer struct {
	key   key
	timer *time.Timer // for what happens next, see issuer.schedule

	grant    *grant
	settled  time.Time // the last question, whatever came of it
	seq      uint64    // of the question that gave it
	received time.Time // the answer, of whatever kind
	refresh  time.Time // when the grant is renewed
	late     time.Time // when callers wait for that; zero: never
	expires  time.Time // zero: never
	used     bool      // since received
	resting  bool      // it was not renewed when it was time, for want of use

	err      error
	until    time.Time // err is not asked about again before
	failures int       // in a row
	told     bool      // Failing was told

	confirmed time.Time // when a refused value was given again
}

// alive reports whether there is a grant to hand out.
func (a *answer) alive(now time.Time) bool {
	return a.grant != nil && (a.expires.IsZero() || now.Before(a.expires))
}

// heldBack reports whether err is too young to ask again.
func (a *answer) heldBack(now time.Time) bool {
	return a.err != nil && now.Before(a.until)
}

// live sets the times of a grant that ends at end, by the wall clock, which
// shows wall at the monotonic time now. It reports whether it has ended before
// it began.
func (a *answer) live(now, wall, end time.Time, random float64, whenEndless time.Duration) (skewed bool) {
	if end.IsZero() {
		wait := time.Duration(float64(whenEndless) * (0.8 + 0.2*random))
		a.refresh, a.late, a.expires = now.Add(wait), time.Time{}, time.Time{}
		return false
	}
	left := end.Round(0).Sub(wall.Round(0))
	if skewed = left <= 0; skewed {
		left = skewedLife
	}
	part := refreshFrom + (refreshTo-refreshFrom)*random
	a.refresh = now.Add(time.Duration(part * float64(left)))
	a.expires = now.Add(left)
	a.late = a.expires.Add(-min(left/10, lastMoments))
	return skewed
}

// next is when something happens to a: the renewal, another try of it, the
// end, or that it is forgotten.
func (a *answer) next(now time.Time) time.Time {
	switch {
	case !a.alive(now) && a.grant != nil:
		return a.expires
	case !a.alive(now):
		return a.until.Add(remember)
	}
	at := a.refresh
	if a.err != nil {
		at = a.until
	}
	if a.resting || !a.expires.IsZero() && a.expires.Before(at) {
		at = a.expires
	}
	return at
}
