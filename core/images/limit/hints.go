package limit

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// maxBlock bounds how long an answer can stop a lane: the longest window in
	// use is that of Docker Hub, 6 hours.
	maxBlock      = 24 * time.Hour
	defaultWindow = time.Minute // of a quota without one
)

// hints are what one answer tells about the registry's limits.
type hints struct {
	refused    bool // the registry said: too many
	failing    bool // it said to be unavailable, which may mean the same and mostly does not
	reason     string
	retryAfter time.Duration

	quota            bool // the fields below are set
	limit, remaining int
	reset            time.Time
}

func readHints(answer *http.Response, body string, now time.Time) hints {
	var h hints
	h.readQuota(answer.Header, now)
	h.refused = answer.StatusCode == http.StatusTooManyRequests
	h.failing = answer.StatusCode == http.StatusServiceUnavailable
	if !h.refused && !h.failing {
		return h
	}
	h.retryAfter = RetryAfter(answer, body, now)
	h.reason = fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if h.retryAfter > 0 {
		h.reason += fmt.Sprintf(", retry after %s", h.retryAfter)
	}
	return h // a quota that is used up holds back what counts, and nothing else
}

// bodyRetry is how GHCR tells the delay: in the text of the error, as a Go
// duration ("retry-after: 10.3ms, allowed: 2000/minute").
var bodyRetry = regexp.MustCompile(`(?i)retry-after:\s*((?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|μs|ms|s|m|h))+)`)

// RetryAfter returns how long an answer asks to wait, 0 if it does not say: by
// a Retry-After header in seconds or as a date, or in the text of its body.
// Dates are taken relative to the answer's own Date header, so that a skewed
// clock does no harm. It is at most a day.
func RetryAfter(answer *http.Response, body string, now time.Time) time.Duration {
	header := strings.TrimSpace(answer.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		return boundedSeconds(seconds)
	}
	if at, err := http.ParseTime(header); err == nil {
		if sent, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
			now = sent
		}
		return bounded(at.Sub(now))
	}
	for _, text := range []string{header, body} {
		if m := bodyRetry.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		if d, err := time.ParseDuration(text); err == nil {
			return bounded(d)
		}
	}
	return 0
}

// readQuota reads the forms in which quotas are announced: Docker Hub's and the
// older drafts of RateLimit headers ("ratelimit-remaining: 76;w=21600"), the
// newer drafts (`RateLimit: "default";r=76;t=30`), and X-RateLimit-*.
func (h *hints) readQuota(header http.Header, now time.Time) {
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-"} {
		remaining, window, ok := quotaItem(header.Get(prefix + "Remaining"))
		if !ok {
			continue
		}
		limit, limitWindow, _ := quotaItem(header.Get(prefix + "Limit"))
		reset := resetAfter(header.Get(prefix+"Reset"), now)
		h.setQuota(limit, remaining, firstPositive(reset, window, limitWindow, defaultWindow), now)
		return
	}
	now8 := parameters(header.Get("Ratelimit"))
	remaining, err := strconv.Atoi(now8["r"])
	if err != nil || remaining < 0 {
		return
	}
	policy := parameters(header.Get("Ratelimit-Policy"))
	limit, _ := strconv.Atoi(policy["q"])
	h.setQuota(limit, remaining, firstPositive(seconds(now8["t"]), seconds(policy["w"]), defaultWindow), now)
}

func (h *hints) setQuota(limit, remaining int, reset time.Duration, now time.Time) {
	h.quota, h.limit, h.remaining = true, max(limit, remaining), remaining
	h.reset = now.Add(bounded(reset))
}

// quotaItem reads `100;w=21600`, or the first of several such items.
func quotaItem(s string) (n int, window time.Duration, ok bool) {
	s, _, _ = strings.Cut(s, ",")
	value, _, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	return n, seconds(parameters(s)["w"]), err == nil && n >= 0
}

// parameters reads the parameters of the first item of a structured header.
func parameters(s string) map[string]string {
	s, _, _ = strings.Cut(s, ",")
	found := map[string]string{}
	for _, p := range strings.Split(s, ";")[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		found[strings.ToLower(name)] = value
	}
	return found
}

// resetAfter reads a time in seconds from now, or since 1970 where it is too
// large for that.
func resetAfter(s string, now time.Time) time.Duration {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	if n > 1e8 {
		return bounded(time.Unix(n, 0).Sub(now))
	}
	return boundedSeconds(float64(n))
}

func seconds(s string) time.Duration {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0
	}
	return boundedSeconds(n)
}

func boundedSeconds(n float64) time.Duration {
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, maxBlock.Seconds()) * float64(time.Second))
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), maxBlock) }

func firstPositive(ds ...time.Duration) time.Duration {
	for _, d := range ds {
		if d > 0 {
			return d
		}
	}
	return 0
}
