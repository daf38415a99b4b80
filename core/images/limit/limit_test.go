package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/limit"
)

var lane = limit.Key{Host: "registry.example.com", Identity: "robot"}

func unlimited(string) limit.Limits { return limit.Limits{RPS: 1000, Burst: 1000, Reserve: 0.3} }

// send sends one request and returns how long it waited.
func send(t *testing.T, l *limit.Limiter, key limit.Key, class limit.Class, r *http.Response) time.Duration {
	t.Helper()
	start := time.Now()
	turn, err := l.Wait(t.Context(), key, class)
	if err != nil {
		t.Fatal(err)
	}
	turn.Done(r, "")
	return time.Since(start)
}

func budget(t *testing.T, l *limit.Limiter, key limit.Key) limit.Budget {
	t.Helper()
	for _, b := range l.Budgets() {
		if b.Host == key.Host && b.Identity == key.Identity {
			return b
		}
	}
	t.Fatalf("no budget of %v", key)
	return limit.Budget{}
}

func TestStartsSlowAndSpeedsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		quay := limit.Key{Host: "quay.io"}
		send(t, l, quay, limit.Free, answer(200))
		send(t, l, lane, limit.Free, answer(200))
		if a, b := budget(t, l, lane).RPS, budget(t, l, quay).RPS; a != 5 || b != 2 {
			t.Errorf("starts with %v and at quay.io with %v requests a second, want 5 and 2", a, b)
		}
		// Ten seconds of more than it may send: a step for each of them.
		for start := time.Now(); time.Since(start) < 10*time.Second; {
			send(t, l, lane, limit.Free, answer(200))
		}
		if got := budget(t, l, lane).RPS; got < 13 || got > 15 {
			t.Errorf("after 10 s the rate is %v, want 14 or so", got)
		}
	})
}

// A rate that nothing asked for proves nothing.
func TestUnusedRateIsNotRaised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		for range 100 {
			send(t, l, lane, limit.Free, answer(200))
			time.Sleep(10 * time.Second)
		}
		if got := budget(t, l, lane).RPS; got != 5 {
			t.Errorf("the rate is %v, want 5", got)
		}
	})
}

func TestHalvesOncePerFlightDownToTheFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		var flight []*limit.Turn
		for range 4 {
			turn, err := l.Wait(t.Context(), lane, limit.Free)
			if err != nil {
				t.Fatal(err)
			}
			flight = append(flight, turn)
		}
		for _, turn := range flight {
			turn.Done(answer(429), "")
			turn.Done(answer(429), "") // a second call does not count
		}
		if b := budget(t, l, lane); b.RPS != 2.5 || b.Throttled != 4 || b.Requests != 4 {
			t.Errorf("after four refusals of one flight: %+v, want 2.5 rps", b)
		}
		for range 12 {
			send(t, l, lane, limit.Free, answer(429))
		}
		if b := budget(t, l, lane); math.Abs(b.RPS-1.0/60) > 0.001 {
			t.Errorf("after many refusals the rate is %v, want one a minute", b.RPS)
		}
		if waited := send(t, l, lane, limit.Free, answer(200)); waited != time.Minute {
			t.Errorf("at the floor a request waited %s, want a minute", waited)
		}
	})
}

// A registry that is down is no registry that is asked too often: it is asked
// again soon, by whoever wants to know, and at the rate from before soon after.
func TestUnavailableIsNotTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		for range 100 {
			send(t, l, lane, limit.Free, answer(503))
			send(t, l, lane, limit.Free, answer(500))
		}
		b := budget(t, l, lane)
		if b.RPS != 1 || !strings.Contains(b.Why, "503 Service Unavailable") {
			t.Errorf("after 200 failures: %+v, want 1 request a second, and why", b)
		}
		if waited := send(t, l, lane, limit.Free, answer(200)); waited > time.Second {
			t.Errorf("the next request waited %s, want a second at most", waited)
		}
		if b := budget(t, l, lane); b.Why != "" {
			t.Errorf("after a good answer the lane says %q", b.Why)
		}
		for start := time.Now(); time.Since(start) < 5*time.Second; {
			send(t, l, lane, limit.Free, answer(200))
		}
		if got := budget(t, l, lane).RPS; got < 5 {
			t.Errorf("5 s after the first good answer the rate is %v, want 5", got)
		}
	})
}

// Who is unavailable may say until when.
func TestUnavailableUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		send(t, l, lane, limit.Free, answer(503, "Retry-After", "90"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Wait(ctx, lane, limit.Free); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable, retry after 1m30s") {
			t.Errorf("the error is %v, want the answer", err)
		}
		if waited := send(t, l, lane, limit.Free, answer(200)); waited != 89*time.Second {
			t.Errorf("waited %s, want the remaining 89 s", waited)
		}
	})
}

// A registry that allows 5 requests a second and refuses the rest of each second.
func TestConvergesOnAnUnknownLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{})
		var (
			mu      sync.Mutex
			second  int64
			count   int
			served  int
			refused int
			wg      sync.WaitGroup
		)
		registry := func() *http.Response {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now().Unix(); now != second {
				second, count = now, 0
			}
			if count++; count > 5 {
				refused++
				return answer(429, "Retry-After", "1")
			}
			served++
			return answer(200)
		}
		const span = 10 * time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		for range 16 {
			wg.Go(func() {
				for {
					turn, err := l.Wait(ctx, lane, limit.Free)
					if err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond) // the network
					turn.Done(registry(), "")
				}
			})
		}
		wg.Wait()
		most := 5 * int(span.Seconds())
		if served < most*8/10 {
			t.Errorf("%d of %d possible requests were served, want 80 %%", served, most)
		}
		if refused > 40 {
			t.Errorf("%d refusals in %s, want at most 4 a minute", refused, span)
		}
		t.Logf("%d of %d served, %d refused", served, most, refused)
	})
}

func TestRetryAfterBlocksAndTellsUntilWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		send(t, l, lane, limit.Counted, answer(429, "Retry-After", "90"))
		until := time.Now().Add(90 * time.Second)
		if b := budget(t, l, lane); !b.BlockedUntil.Equal(until) || !strings.Contains(b.Why, "429 Too Many Requests, retry after 1m30s") {
			t.Errorf("the budget is %+v, want blocked until %s", b, until)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := l.Wait(ctx, lane, limit.Free)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), until.UTC().Format(time.RFC3339)) || !strings.Contains(err.Error(), "429") {
			t.Errorf("the error is %v, want the time and the reason", err)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("gave up after %s, want when the context ended", waited)
		}
		if waited := send(t, l, lane, limit.Counted, answer(200)); waited != 80*time.Second {
			t.Errorf("waited %s, want the remaining 80 s", waited)
		}
		if other := send(t, l, limit.Key{Host: lane.Host}, limit.Counted, answer(200)); other != 0 {
			t.Errorf("another identity waited %s", other)
		}
	})
}

func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: func(string) limit.Limits { return limit.Limits{RPS: 1, Burst: 1} }})
		var (
			mu    sync.Mutex
			order []int
			wg    sync.WaitGroup
		)
		for i := range 10 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ctx := t.Context()
				if i == 4 { // gives up while it waits
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second/2)
					defer cancel()
				}
				turn, err := l.Wait(ctx, lane, limit.Free)
				if err != nil {
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				turn.Done(answer(200), "")
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 5, 6, 7, 8, 9}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// Docker Hub counts pulls and not HEADs. Some of them are for the kubelets.
func TestLeavesAPartOfTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		left := 80 // others have used 20
		pull := func(ctx context.Context) error {
			turn, err := l.Wait(ctx, lane, limit.Counted)
			if err == nil {
				left--
				turn.Done(hub(left), "")
			}
			return err
		}
		for i := range 50 {
			if err := pull(t.Context()); err != nil {
				t.Fatalf("pull %d: %v", i, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := pull(ctx); err == nil || !strings.Contains(err.Error(), "30 of 100 requests are left") {
			t.Errorf("the 51st pull: %v, want the quota as the reason", err)
		}
		want := &limit.Quota{Limit: 100, Remaining: 30, Reserved: 30, Reset: time.Now().Add(5 * time.Hour).UTC()}
		got := budget(t, l, lane).Quota
		if got != nil {
			got.Reset = got.Reset.Round(time.Minute)
			want.Reset = want.Reset.Round(time.Minute)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("quota (-want +got):\n%s", diff)
		}
		if waited := send(t, l, lane, limit.Free, hub(30)); waited != 0 {
			t.Errorf("a HEAD waited %s", waited)
		}
		left = 31 // a pull has left the window
		send(t, l, lane, limit.Free, hub(left))
		if err := pull(t.Context()); err != nil {
			t.Errorf("with 31 left: %v", err)
		}
		if waited := send(t, l, lane, limit.Counted, hub(99)); waited != 6*time.Hour {
			t.Errorf("waited %s, want the window of 6 h since the last news", waited)
		}
	})
}

// A quota that is used up, as Docker Hub says it, stops pulls and nothing else.
func TestUsedUpQuotaStopsOnlyWhatCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		refusal := hub(0)
		refusal.StatusCode = 429
		send(t, l, lane, limit.Counted, refusal)
		if waited := send(t, l, lane, limit.Free, answer(200)); waited > time.Second {
			t.Errorf("a HEAD waited %s", waited)
		}
		if waited := send(t, l, lane, limit.Counted, hub(99)); waited < 6*time.Hour-time.Second {
			t.Errorf("a pull waited %s, want the window", waited)
		}
	})
}

func TestEndedContextSendsNothing(t *testing.T) {
	l := limit.New(limit.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if _, err := l.Wait(ctx, lane, limit.Free); !errors.Is(err, context.Canceled) {
			t.Fatalf("the error is %v", err)
		}
	}
	if n := budget(t, l, lane).Requests; n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func hub(left int) *http.Response {
	return answer(200, "Ratelimit-Limit", "100;w=21600", "Ratelimit-Remaining", fmt.Sprintf("%d;w=21600", left))
}

// Requests that are under way count, and answers may overtake each other.
func TestQuotaCountsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{Ceiling: unlimited})
		send(t, l, lane, limit.Counted, hub(32))
		var flight []*limit.Turn
		for range 2 {
			turn, err := l.Wait(t.Context(), lane, limit.Counted)
			if err != nil {
				t.Fatal(err)
			}
			flight = append(flight, turn)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := l.Wait(ctx, lane, limit.Counted); err == nil {
			t.Fatal("a third pull went out with 32 left and two under way")
		}
		flight[1].Done(hub(30), "")
		flight[0].Done(hub(31), "") // sent earlier, answered later
		if got := budget(t, l, lane).Quota.Remaining; got != 30 {
			t.Errorf("remaining %d, want 30", got)
		}
	})
}

func TestForgetsIdleLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{MaxLanes: 10})
		blocked := limit.Key{Host: "blocked.example.com"}
		send(t, l, blocked, limit.Free, answer(429, "Retry-After", "3600"))
		for i := range 100 {
			send(t, l, limit.Key{Host: fmt.Sprintf("%d.example.com", i)}, limit.Free, answer(200))
			time.Sleep(time.Second)
		}
		all := l.Budgets()
		if len(all) != 10 || !slices.ContainsFunc(all, func(b limit.Budget) bool { return b.Host == blocked.Host }) {
			t.Errorf("%d lanes are kept, want 10 with the blocked one: %v", len(all), all)
		}
	})
}

func TestForgetsBlockedLanesOfManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Options{MaxLanes: 10})
		for i := range 100 {
			send(t, l, limit.Key{Host: fmt.Sprintf("%d.example.com", i)}, limit.Free, answer(429, "Retry-After", "86400"))
			time.Sleep(time.Second)
		}
		all := l.Budgets()
		if len(all) != 40 || slices.ContainsFunc(all, func(b limit.Budget) bool { return b.Host == "59.example.com" }) {
			t.Errorf("%d lanes are kept, want the last 40", len(all))
		}
	})
}
