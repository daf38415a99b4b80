package remote

import (
	"errors"
	"net/http"
	"time"
)

// Error is an answer of a registry, or of its token server, that is not what
// was asked for. It holds no secret.
type Error struct {
	Host       string // registry, as in the image's name
	Repository string
	Asked      string        // "the tags", "the manifest v1.2", "a token of auth.example.com"
	Status     int           // of HTTP
	Code       string        // of the registry: "NAME_UNKNOWN"; may be empty
	Message    string        // of the registry, one line, bounded; may be empty
	RetryAfter time.Duration // where the registry named one
}

// Error names the image, what was asked and what the registry said, and what
// to do.
func (e *Error) Error() string { panic("not yet") }

// IsNotFound reports whether the registry has no such repository, tag or
// manifest. Many registries say so too for what one may not see.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound
}

// IsUnauthorized reports whether the registry refused the credential, or what
// was asked for with it.
func IsUnauthorized(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// IsThrottled reports whether the registry said too many, more often than the
// client tries.
func IsThrottled(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable)
}
