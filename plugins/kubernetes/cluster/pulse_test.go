package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper answers requests without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAnswers: an API server that does not answer for a while is told, with the
// time when that began; its return is seen though nobody asks it for anything.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var asked atomic.Int64
		server := roundTripper(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			if away.Load() {
				return nil, errors.New("connection refused")
			}
			return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: http.NoBody}, nil
		})
		p := &pulse{}
		c := &Client{Host: "https://api.example.com", base: &url.URL{Scheme: "https", Host: "api.example.com"}, pulse: p, http: &http.Client{Transport: newTransport(server, newFlow(), p)}}
		c.life, c.end = context.WithCancel(t.Context())
		get := func(query string) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example.com/api"+query, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := c.http.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		get("")
		if err := c.Answers(); err != nil || asked.Load() != 1 {
			t.Fatalf("%v after %d requests, want no error and no probe", err, asked.Load())
		}

		away.Store(true)
		began := time.Now().UTC().Format(time.RFC3339)
		get("?watch=true")
		if err := c.Answers(); err != nil {
			t.Errorf("told at once: %v", err)
		}
		time.Sleep(2 * shortOutage)
		err := c.Answers()
		if want := "the API server https://api.example.com does not answer since " + began + ": connection refused"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		time.Sleep(2 * probeLimit)
		before := asked.Load()
		time.Sleep(time.Hour)
		if asked.Load() != before {
			t.Error("it is asked though nobody wants to know")
		}

		away.Store(false)
		if err := c.Answers(); err == nil || !strings.Contains(err.Error(), began) {
			t.Errorf("nobody has asked yet: %v", err)
		}
		synctest.Wait()
		if err := c.Answers(); err != nil {
			t.Errorf("after its return: %v", err)
		}

		away.Store(true)
		get("")
		_ = c.Answers() // probes
		c.end()
		c.probes.Wait() // as Close does
	})
}
