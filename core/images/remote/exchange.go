package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
)

const (
	maxThrottled = 6 // times that a request is sent if the registry says too many
	maxFailed    = 3 // times that it is sent if it fails for a passing reason
	maxHops      = 5 // redirects
	maxErrorBody = 64 << 10
	callTimeout  = 2 * time.Minute // from sending to the last byte
)

// call is one thing to ask for.
type call struct {
	method   string
	url      *url.URL
	header   http.Header
	form     string // body of a POST
	asked    string // for errors: "the tags"
	class    limit.Class
	max      int64  // bytes of the answer
	identity string // ID of the credential, for the limiter
}

// answer is a response read to its end. Its status may be any.
type answer struct {
	status     int
	header     http.Header
	body       []byte
	retryAfter time.Duration
	url        *url.URL // where redirects led
	elsewhere  string   // host that answered, if it is not the registry
	secrets    []string // what must not be repeated of the body
}

// exchange sends a call, again where it failed for a passing reason. The
// limiter tells when: after "too many" it lets nothing through before the
// registry wants it.
func (c *Client) exchange(ctx context.Context, t *target, k *call, auth authorization, cred credentials.Credential) (*answer, error) {
	var last *answer
	for sent, failed := 1, 1; ; sent++ {
		a, err := c.send(ctx, t, k, auth)
		if a != nil {
			a.secrets = auth.secrets(cred)
		}
		switch {
		case ctx.Err() != nil && a == nil && last != nil: // no good answer until the context ended
			e := t.newError(k.asked, last)
			e.cause = err
			return nil, e
		case err != nil && (ctx.Err() != nil || permanent(err)):
			return nil, fmt.Errorf("%s/%s: %s: %w", t.req.Host, t.req.Repository, k.asked, err)
		case a != nil && (a.status == http.StatusTooManyRequests || a.retryAfter > 0):
			if last = a; sent >= maxThrottled {
				return a, nil
			}
			continue
		case a != nil && a.status < 500:
			return a, nil
		}
		if a != nil {
			last = a
		}
		if failed++; failed > maxFailed {
			if err != nil {
				err = fmt.Errorf("%s/%s: %s: %w", t.req.Host, t.req.Repository, k.asked, err)
			}
			return a, err
		}
		pause(ctx, c.opts.RetryDelay<<(2*(failed-2)))
	}
}

// pause waits about as long as delay, or until ctx ends.
func pause(ctx context.Context, delay time.Duration) {
	timer := time.NewTimer(delay/2 + rand.N(delay))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// send sends a call once and follows redirects, which lead to object stores.
func (c *Client) send(ctx context.Context, t *target, k *call, auth authorization) (*answer, error) {
	u, lane := k.url, t.lane(k.url, k.identity)
	for range maxHops {
		a, err := c.hop(ctx, t, k, u, lane, auth)
		if err != nil || k.method == http.MethodPost || a.status < 300 || a.status == http.StatusNotModified || a.status >= 400 {
			return a, err
		}
		next, err := u.Parse(a.header.Get("Location"))
		if err != nil || a.header.Get("Location") == "" {
			return nil, permanentError{fmt.Errorf("a redirect (%d) to no valid address", a.status)}
		}
		if err := t.mayTalkTo(next); err != nil {
			return nil, permanentError{fmt.Errorf("a redirect: %w", err)}
		}
		if !sameOrigin(next, u) {
			auth = authorization{} // for good: it must not come back after a detour
			lane = t.lane(next, "")
		}
		u = next
	}
	return nil, permanentError{fmt.Errorf("more than %d redirects", maxHops)}
}

// hop sends one request, when the limiter lets it, and reads the answer.
func (c *Client) hop(ctx context.Context, t *target, k *call, u *url.URL, lane limit.Key, auth authorization) (*answer, error) {
	transport, err := c.transport(t, u)
	if err != nil {
		return nil, permanentError{err}
	}
	turn, err := c.opts.Limiter.Wait(ctx, lane, k.class)
	if err != nil {
		return nil, permanentError{err}
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := transport.RoundTrip(c.request(ctx, k, u, auth))
	if err != nil {
		turn.Done(nil, "")
		return nil, classify(bare(err))
	}
	defer func() { _ = r.Body.Close() }() // it was read, or is of no use
	a := &answer{status: r.StatusCode, header: r.Header, url: u}
	bound := k.max
	if r.StatusCode >= 300 {
		bound = maxErrorBody
	}
	a.body, err = c.read(ctx, io.LimitReader(r.Body, bound+1))
	turn.Done(r, string(a.body[:min(len(a.body), maxErrorBody)]))
	a.retryAfter = retryAfter(r, a.body)
	c.opts.Logger.LogAttrs(ctx, slog.LevelDebug, "registry request", slog.String("host", u.Host), slog.String("repository", t.req.Repository),
		slog.String("asked", k.asked), slog.Int("status", r.StatusCode), slog.Int("bytes", len(a.body)), slog.Duration("took", time.Since(start)))
	switch {
	case r.StatusCode >= 300:
		return a, nil // whatever could be read of it
	case err != nil:
		return nil, fmt.Errorf("the answer was cut: %w", err)
	case int64(len(a.body)) > bound:
		return nil, permanentError{brokenError{fmt.Errorf("the answer is larger than %d bytes", bound)}}
	}
	return a, nil
}

// smallBody is larger than nearly all that registries send: a thousand tags, a
// manifest, a config. What is larger is read for a few calls at a time, however
// many registries there are and however slowly they send.
const (
	smallBody   = 256 << 10
	largeBodies = 8
)

func (c *Client) read(ctx context.Context, body io.Reader) ([]byte, error) {
	begin, err := io.ReadAll(io.LimitReader(body, smallBody))
	if err != nil || len(begin) < smallBody {
		return begin, err
	}
	select {
	case c.large <- struct{}{}:
		defer func() { <-c.large }()
	case <-ctx.Done():
		return begin, fmt.Errorf("others were reading large answers: %w", context.Cause(ctx))
	}
	return io.ReadAll(io.MultiReader(bytes.NewReader(begin), body))
}

func retryAfter(r *http.Response, body []byte) time.Duration {
	if r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	return limit.RetryAfter(r, string(body), time.Now())
}

func (c *Client) request(ctx context.Context, k *call, u *url.URL, auth authorization) *http.Request {
	r := (&http.Request{Method: k.method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	for name, values := range k.header {
		r.Header[name] = values
	}
	if k.form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(k.form)), int64(len(k.form))
	}
	if auth.header != "" {
		r.Header.Set("Authorization", auth.header)
	}
	r.Header.Set("User-Agent", c.opts.UserAgent)
	return r
}

// permanentError is an error that another try does not help.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func permanent(err error) bool {
	_, ok := errors.AsType[permanentError](err)
	return ok
}
