package images

import (
	"errors"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk"
)

// maxRetry bounds the delay after failures of any kind.
const maxRetry = 6 * time.Hour

// credentialError says that no subject of a repository has a credential.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

// kindOf tells what kind of failure err is.
func kindOf(err error) Problem {
	_, refused := errors.AsType[*credentials.RefusedError](err)
	_, noCredential := errors.AsType[*credentialError](err)
	switch {
	case refused || remote.IsUnauthorized(err):
		return Unauthorized
	case noCredential:
		return NoCredential
	case remote.IsNotFound(err):
		return NotFound
	case remote.IsThrottled(err):
		return Throttled
	}
	return Unreachable
}

// curable reports whether another credential may help.
func (p Problem) curable() bool { return p == Unauthorized || p == NoCredential || p == NotFound }

// backoff says when to try again what failed. A credential that is refused is
// not tried often: some registries lock an account out. Another one is tried
// sooner, see Scanner.reconsider.
func backoff(p Problem) sched.Backoff {
	switch p {
	case Unauthorized:
		return sched.Backoff{Min: 5 * time.Minute, Max: time.Hour, Jitter: -1}
	case NotFound:
		return sched.Backoff{Min: 10 * time.Minute, Max: maxRetry, Jitter: -1}
	case NoCredential:
		return sched.Backoff{Min: 30 * time.Second, Max: 15 * time.Minute}
	case Throttled:
		return sched.Backoff{Min: time.Minute, Max: 30 * time.Minute}
	default:
		return sched.Backoff{Min: 15 * time.Second, Max: 15 * time.Minute}
	}
}

// retryAfter returns when to try again after that many failures in a row. What
// the registry, a limiter or a plugin says counts, within reason. A registry that
// cannot be reached is not tried less often than it would be if it were quiet.
// s.mu is held.
func (s *Scanner) retryAfter(err error, failures int) time.Duration {
	kind := kindOf(err)
	pace := backoff(kind)
	if kind == Unreachable {
		pace.Max = min(pace.Max, max(maxDecay*s.settings.Interval, time.Minute))
	}
	delay := pace.Delay(failures, s.opts.Rand())
	if e, ok := errors.AsType[*remote.Error](err); ok {
		delay = max(delay, min(e.RetryAfter, maxRetry))
	}
	if e, ok := errors.AsType[*limit.WaitError](err); ok && !e.Until.IsZero() {
		delay = max(delay, min(time.Until(e.Until), maxRetry))
	}
	if d, ok := sdk.RetryDelay(err); ok {
		delay = max(delay, min(d, maxRetry))
	}
	return delay
}

// plainError is an error without the name of the repository that it is about.
type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// plain leaves the name of the repository out of err, for those who read the
// name beside it; nil stays nil.
func plain(err error, repository string) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "no credential for "+repository+": ", "no credential: ")
	text = strings.ReplaceAll(": "+text, ": "+repository+": ", ": ")
	return &plainError{strings.TrimPrefix(text, ": "), err}
}
