package plug

import (
	"errors"
	"time"
)

// Permanent wraps err to say that trying again is pointless until the input
// changes.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

// IsPermanent reports whether err is, or wraps, a Permanent one.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

// RetryAfter wraps err to say when trying again makes sense.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err, max(d, 0)}
}

// RetryDelay returns the delay that err carries, if any.
func RetryDelay(err error) (time.Duration, bool) {
	r, ok := errors.AsType[*retryAfter](err)
	if !ok {
		return 0, false
	}
	return r.delay, true
}

type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

type retryAfter struct {
	err   error
	delay time.Duration
}

func (r *retryAfter) Error() string { return r.err.Error() }
func (r *retryAfter) Unwrap() error { return r.err }
