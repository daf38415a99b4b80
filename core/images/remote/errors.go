package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/limit"
)

// Error is an answer of a registry, or of its token server, that is not what
// was asked for. It holds no secret.
type Error struct {
	Host       string        // registry, as in the image's name
	Repository string        //
	Asked      string        // "the tags", "the manifest v1.2", "a token of auth.example.com"
	Status     int           // of HTTP
	Code       string        // of the registry: "NAME_UNKNOWN"; may be empty
	Message    string        // of the registry, one line, bounded; may be empty
	RetryAfter time.Duration // where the registry named one

	cause error // why it was not tried again; may be nil
}

// Error names the image, what was asked and what the registry said, and what
// to do.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%s: %s: %d", e.Host, e.Repository, e.Asked, e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	} else {
		b.WriteString(" " + http.StatusText(e.Status))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	if advice := e.advice(); advice != "" {
		b.WriteString(" (" + advice + ")")
	}
	return b.String()
}

// Unwrap returns why the request was not tried again, if there is more to it
// than the answer.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) advice() string {
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		return fmt.Sprintf("see: sluice credentials explain %s/%s", e.Host, e.Repository)
	case e.Status == http.StatusNotFound:
		return "it does not exist, or the credential may not see it"
	case IsThrottled(e):
		return "see: sluice images budget"
	}
	return ""
}

// IsNotFound reports whether the registry has no such repository, tag or
// manifest. Many registries say so too for what one may not see.
func IsNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// IsUnauthorized reports whether the registry refused the credential, or what
// was asked for with it.
func IsUnauthorized(err error) bool {
	return hasStatus(err, http.StatusUnauthorized, http.StatusForbidden)
}

// IsThrottled reports whether the registry said too many, more often than the
// client tries, or a limit let no request through while the context lived.
func IsThrottled(err error) bool {
	wait, ok := errors.AsType[*limit.WaitError](err)
	return ok && !wait.Until.IsZero() || hasStatus(err, http.StatusTooManyRequests)
}

// IsBroken reports whether what the registry served cannot be read, whoever
// asks and however often: it is no JSON of its kind, has another digest than it
// should, or is too large.
func IsBroken(err error) bool {
	_, ok := errors.AsType[brokenError](err)
	return ok
}

// brokenError is about the content of an answer.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// broken is an error about what was served when something was asked for.
func (t *target) broken(asked string, why error) error {
	return brokenError{fmt.Errorf("%s/%s: %s: %w", t.req.Host, t.req.Repository, asked, why)}
}

func hasStatus(err error, statuses ...int) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	for _, s := range statuses {
		if e.Status == s {
			return true
		}
	}
	return false
}

// refusal is what the bodies of errors hold: the form of the distribution
// specification, and those of token servers and other APIs.
type refusal struct {
	Errors []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"errors"`
	Details     string `json:"details"` // of some token servers
	Error       string `json:"error"`   // of OAuth2
	Description string `json:"error_description"`
	Message     string `json:"message"`
}

// newError makes an Error of an answer.
func (t *target) newError(asked string, a *answer) *Error {
	e := &Error{
		Host: t.req.Host, Repository: t.req.Repository, Asked: asked,
		Status: a.status, RetryAfter: a.retryAfter,
	}
	var r refusal
	switch err := json.Unmarshal(a.body, &r); {
	case err != nil:
		if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); kind == "text/plain" {
			e.Message = string(a.body)
		}
	case len(r.Errors) > 0:
		if a.elsewhere != "" {
			e.Asked += ", which is at " + a.elsewhere
		}
		e.Code, e.Message = r.Errors[0].Code, r.Errors[0].Message
	default:
		for _, text := range []string{r.Description, r.Details, r.Message, r.Error} {
			if e.Message = text; text != "" {
				break
			}
		}
	}
	if a.elsewhere != "" {
		e.Asked += ", which is at " + a.elsewhere
	}
	e.Code, e.Message = scrub(e.Code, a.secrets), scrub(e.Message, a.secrets)
	return e
}
