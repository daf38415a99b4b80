package limit_test

import (
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/limit"
)

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	skewed := now.Add(-time.Hour).Format(http1123)
	for _, tt := range []struct {
		name   string
		header []string
		body   string
		want   time.Duration
	}{
		{"none", nil, "", 0},
		{"seconds", []string{"Retry-After", "17"}, "", 17 * time.Second},
		{"fraction", []string{"Retry-After", "0.5"}, "", time.Second / 2},
		{"date", []string{"Retry-After", now.Add(time.Minute).Format(http1123)}, "", time.Minute},
		{"date of a skewed server", []string{"Retry-After", now.Add(-time.Hour + time.Minute).Format(http1123), "Date", skewed}, "", time.Minute},
		{"past date", []string{"Retry-After", now.Add(-time.Minute).Format(http1123)}, "", 0},
		{"negative", []string{"Retry-After", "-5"}, "", 0},
		{"not a number", []string{"Retry-After", "NaN"}, "", 0},
		{"far too long", []string{"Retry-After", "1e300"}, "", 24 * time.Hour},
		{"far too late", []string{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"}, "", 24 * time.Hour},
		{"GHCR", nil, `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 412.5ms, allowed: 2000/minute"}]}`, 412500 * time.Microsecond},
		{"GHCR, composed", nil, "retry-after: 1m2.5s, allowed: 44000/minute", 62500 * time.Millisecond},
		{"header before body", []string{"Retry-After", "2"}, "retry-after: 9s", 2 * time.Second},
		{"some other text", nil, "slow down", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := limit.RetryAfter(answer(429, tt.header...), tt.body, now); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

const http1123 = "Mon, 02 Jan 2006 15:04:05 GMT"

func TestQuotaForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		epoch := strconv.FormatInt(now.Add(30*time.Second).Unix(), 10)
		for i, tt := range []struct {
			header []string
			want   *limit.Quota
		}{
			{nil, nil},
			{[]string{"Ratelimit-Limit", "100;w=21600", "Ratelimit-Remaining", "76;w=21600"}, quota(100, 76, 30, now.Add(6*time.Hour))},
			{[]string{"Ratelimit-Limit", "100, 100;w=60", "Ratelimit-Remaining", "99", "Ratelimit-Reset", "20"}, quota(100, 99, 30, now.Add(20*time.Second))},
			{[]string{"X-Ratelimit-Limit", "180", "X-Ratelimit-Remaining", "179", "X-Ratelimit-Reset", epoch}, quota(180, 179, 54, now.Add(30*time.Second))},
			{[]string{"Ratelimit", `"default";r=50;t=30`, "Ratelimit-Policy", `"default";q=100;w=60`}, quota(100, 50, 30, now.Add(30*time.Second))},
			{[]string{"Ratelimit", `"default";r=50`}, quota(50, 50, 15, now.Add(time.Minute))},
			{[]string{"Ratelimit-Remaining", "-1"}, nil},
			{[]string{"Ratelimit-Remaining", "many"}, nil},
			{[]string{"Ratelimit", `"default"`}, nil},
		} {
			l := limit.New(limit.Options{})
			send(t, l, lane, limit.Counted, answer(200, tt.header...))
			if diff := cmp.Diff(tt.want, budget(t, l, lane).Quota); diff != "" {
				t.Errorf("%d: %v (-want +got):\n%s", i, tt.header, diff)
			}
		}
	})
}

func quota(limited, remaining, reserved int, reset time.Time) *limit.Quota {
	return &limit.Quota{Limit: limited, Remaining: remaining, Reserved: reserved, Reset: reset}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"1", "1.5s", "retry-after: 1h", "Fri, 31 Dec 1999 23:59:59 GMT", "Inf", "9e99"} {
		f.Add(s, s)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header, body string) {
		got := limit.RetryAfter(answer(429, "Retry-After", header), body, now)
		if got < 0 || got > 24*time.Hour || math.IsNaN(got.Seconds()) {
			t.Errorf("%q, %q: %s", header, body, got)
		}
	})
}
