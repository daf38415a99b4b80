package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	mostOverload   = 12               // tries after 429, which the server means as "later"
	mostErrors     = 4                // tries after 500, 502, 503 and 504
	longestOutage  = 90 * time.Second // how long a request outlives a server that cannot be reached any more
	firstOutage    = 5 * time.Second  // the same for one that never answered: rather a wrong address
	firstPause     = 100 * time.Millisecond
	longestPause   = 5 * time.Second
	longestAdvised = 60 * time.Second // of Retry-After
)

// transport admits requests through a flow and repeats those that failed in a
// way that may pass: overload, a server error, a lost connection. All that the
// plugin sends may be repeated: it applies, reads, or deletes with the uid as
// a precondition. Watches pass untouched; their users resume them.
type transport struct {
	next     http.RoundTripper
	flow     *flow
	pulse    *pulse
	answered atomic.Bool
}

func newTransport(next http.RoundTripper, f *flow, p *pulse) *transport {
	return &transport{next: next, flow: f, pulse: p}
}

// WrappedRoundTripper lets client-go find the connections below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Query().Get("watch") == "true" {
		resp, err := t.next.RoundTrip(req)
		t.note(req, err)
		return resp, err
	}
	began := time.Now()
	for try := 1; ; try++ {
		resp, err := t.once(req)
		pause, again := retryable(resp, err, try)
		if err != nil {
			again = req.Context().Err() == nil && time.Since(began) < t.patience() && !untrusted(err)
		}
		if !again {
			if err != nil {
				return nil, err
			}
			return final(resp), nil
		}
		if err := sleep(req.Context(), pause); err != nil {
			return nil, err
		}
		if req, err = rewind(req); err != nil {
			return nil, err
		}
	}
}

func (t *transport) once(req *http.Request) (*http.Response, error) {
	if err := t.flow.enter(req.Context()); err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		err = buffer(resp)
	}
	t.flow.leave(time.Since(began), judge(req, resp, err))
	if err == nil {
		t.answered.Store(true)
	}
	t.note(req, err)
	return resp, err
}

// note takes note of whether a request was answered, unless its user gave up.
func (t *transport) note(req *http.Request, err error) {
	if req.Context().Err() == nil {
		t.pulse.saw(err)
	}
}

// untrusted tells a server whose certificate is not the one to expect, which
// does not pass.
func untrusted(err error) bool {
	_, bad := errors.AsType[*tls.CertificateVerificationError](err)
	return bad
}

func (t *transport) patience() time.Duration {
	if t.answered.Load() {
		return longestOutage
	}
	return firstOutage
}

// judge tells what an answer says about load. Only writes are compared by
// time: lists take as long as they are large.
func judge(req *http.Request, resp *http.Response, err error) outcome {
	switch {
	case err != nil:
		return silent
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		return overloaded
	case req.Method == http.MethodGet, resp.StatusCode >= 300:
		return silent
	}
	return good
}

func retryable(resp *http.Response, err error, try int) (time.Duration, bool) {
	if err != nil {
		return backOff(try), true
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return max(advised(resp), backOff(try)), try < mostOverload
	case http.StatusInternalServerError:
		return backOff(try), try < mostErrors && !peek(resp, hopeless...)
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return max(advised(resp), backOff(try)), try < mostErrors
	}
	return 0, false
}

// backOff doubles from firstPause to longestPause, with jitter of a quarter.
func backOff(try int) time.Duration {
	d := min(longestPause, firstPause<<min(try-1, 10))
	return d - rand.N(d/4)
}

func advised(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(longestAdvised, time.Duration(seconds)*time.Second)
}

// final keeps client-go from adding its own round of retries.
func final(resp *http.Response) *http.Response {
	resp.Header.Del("Retry-After")
	return resp
}

// buffer reads the answer to its end, since a connection may be lost in its
// midst, and that can be repeated too.
func buffer(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("answer of the API server: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// hopeless are internal errors that are the same every time.
var hopeless = append([]string{untyped, unconvertible}, storeTooLarge...)

// peek tells whether a buffered answer holds one of phrases.
func peek(resp *http.Response, phrases ...string) bool {
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return err == nil && slices.ContainsFunc(phrases, func(p string) bool { return bytes.Contains(body, []byte(p)) })
}

func rewind(req *http.Request) (*http.Request, error) {
	again := req.Clone(req.Context())
	if req.GetBody == nil {
		return again, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again.Body = body
	return again, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
