package front

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// Limit is how much the registry answers. Writes do not count.
type Limit struct {
	RPS   float64 `json:"rps"`   // requests a second; 0: no limit
	Burst int     `json:"burst"` // at once; at least 1
	// RetryAfter is how an answer 429 says when to come again: "seconds" or
	// "date" in the header, "body" in the text as GHCR, "none".
	RetryAfter string `json:"retry_after"`

	// Pulls is how many manifests may be got in Window, as on Docker Hub; 0 is
	// no limit. With it the answers about manifests have Docker Hub's headers.
	Pulls  int      `json:"pulls"`
	Window Duration `json:"window"`
}

// limit counts requests against a Limit. The zero limit allows all.
type limit struct {
	mu     sync.Mutex
	limit  Limit
	tokens float64
	last   time.Time
	pulls  []time.Time
}

// SetLimit replaces the limit, and forgets what was counted.
func (f *Front) SetLimit(l Limit) error {
	if !slices.Contains([]string{"", "seconds", "date", "body", "none"}, l.RetryAfter) {
		return fmt.Errorf("retry_after: %q is none of seconds, date, body and none", l.RetryAfter)
	}
	if l.RPS < 0 || l.Pulls < 0 || (l.Pulls > 0 && l.Window <= 0) {
		return fmt.Errorf("a limit is not negative, and pulls need a window")
	}
	l.Burst = max(l.Burst, 1)
	f.limit.mu.Lock()
	defer f.limit.mu.Unlock()
	f.limit.limit, f.limit.tokens, f.limit.last, f.limit.pulls = l, float64(l.Burst), time.Now(), nil
	return nil
}

// allow counts a request. It answers 429 itself and returns false if that is
// one too many.
func (l *limit) allow(w http.ResponseWriter, class record.Class) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if wait := l.takeRate(now); wait > 0 {
		l.limit.refuse(w, now, wait)
		return false
	}
	if l.limit.Pulls == 0 || (class != record.ManifestGet && class != record.ManifestHead) {
		return true
	}
	allowed := l.takePull(now, class)
	window := int(time.Duration(l.limit.Window) / time.Second)
	w.Header().Set("ratelimit-limit", fmt.Sprintf("%d;w=%d", l.limit.Pulls, window))
	w.Header().Set("ratelimit-remaining", fmt.Sprintf("%d;w=%d", l.limit.Pulls-len(l.pulls), window))
	w.Header().Set("docker-ratelimit-source", "127.0.0.1")
	if !allowed {
		writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS",
			"You have reached your pull rate limit. You may increase the limit by authenticating and upgrading.")
	}
	return allowed
}

// takeRate takes a token, or returns after which time there will be one.
func (l *limit) takeRate(now time.Time) (wait time.Duration) {
	if l.limit.RPS == 0 {
		return 0
	}
	l.tokens = min(float64(l.limit.Burst), l.tokens+now.Sub(l.last).Seconds()*l.limit.RPS)
	l.last = now
	if l.tokens < 1 {
		return max(1, time.Duration((1-l.tokens)/l.limit.RPS*float64(time.Second)))
	}
	l.tokens--
	return 0
}

// takePull reports whether a manifest may be answered. Only GET counts.
func (l *limit) takePull(now time.Time, class record.Class) bool {
	start := now.Add(-time.Duration(l.limit.Window))
	l.pulls = slices.DeleteFunc(l.pulls, func(t time.Time) bool { return t.Before(start) })
	if class != record.ManifestGet {
		return true
	}
	if len(l.pulls) >= l.limit.Pulls {
		return false
	}
	l.pulls = append(l.pulls, now)
	return true
}

func (l Limit) refuse(w http.ResponseWriter, now time.Time, wait time.Duration) {
	message := "too many requests"
	switch l.RetryAfter {
	case "", "seconds":
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	case "date": // whole seconds, so the next one
		w.Header().Set("Retry-After", now.Add(wait+time.Second-1).UTC().Format(http.TimeFormat))
	case "body":
		message = fmt.Sprintf("retry-after: %s, allowed: %.0f/minute", wait.Round(time.Microsecond), l.RPS*60)
	}
	writeError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", message)
}
