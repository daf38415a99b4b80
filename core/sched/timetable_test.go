package sched_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/sched"
)

// calendar records when keys were due, since its creation.
type calendar struct {
	mu    sync.Mutex
	begin time.Time
	lines []string
}

func newCalendar() *calendar { return &calendar{begin: time.Now()} }

func (c *calendar) due(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, fmt.Sprintf("%s %v", key, time.Since(c.begin)))
}

func (c *calendar) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(lines, c.lines); diff != "" {
		t.Error(diff)
	}
	c.lines = nil
}

// exact has neither jitter of intervals nor of retries.
var exact = sched.TimetableOptions{Jitter: -1, Backoff: sched.Backoff{Jitter: -1}}

func TestTimetable(t *testing.T) {
	tests := map[string]func(t *testing.T, tt *sched.Timetable, c *calendar){
		"first, then each interval": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("b", 0, time.Minute)
			tt.Set("a", 30*time.Second, time.Minute)
			time.Sleep(2 * time.Minute)
			c.want(t, "b 0s", "a 30s", "b 1m0s", "a 1m30s", "b 2m0s")
		},
		"same time, by key": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			for _, k := range []string{"c", "a", "b"} {
				tt.Set(k, time.Second, 0)
			}
			time.Sleep(time.Hour)
			c.want(t, "a 1s", "b 1s", "c 1s")
		},
		"setting the same again moves nothing": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Minute, time.Minute)
			time.Sleep(59 * time.Second)
			tt.Set("a", 0, time.Minute)
			time.Sleep(time.Second)
			c.want(t, "a 1m0s")
		},
		"a shorter interval comes sooner": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Hour, time.Hour)
			tt.Set("a", time.Hour, time.Minute)
			time.Sleep(time.Minute)
			c.want(t, "a 1m0s")
		},
		"a longer interval does not delay the next": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Minute, time.Minute)
			tt.Set("a", time.Minute, time.Hour)
			time.Sleep(2 * time.Hour)
			c.want(t, "a 1m0s", "a 1h1m0s")
		},
		"no interval any more": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Minute, time.Minute)
			tt.Set("a", time.Minute, 0)
			time.Sleep(time.Hour)
			c.want(t)
		},
		"removed": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Minute, time.Minute)
			tt.Remove("a")
			tt.Remove("unknown")
			if _, ok := tt.Next("a"); ok {
				t.Error("a removed key is due")
			}
			time.Sleep(time.Hour)
			c.want(t)
		},
		"success counts the interval from its end": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", 0, time.Minute)
			time.Sleep(20 * time.Second)
			tt.Succeeded("a")
			time.Sleep(time.Minute)
			c.want(t, "a 0s", "a 1m20s")
		},
		"back-off grows, is bounded by the interval, and starts anew": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", time.Hour, 10*time.Second)
			var delays []time.Duration
			for range 6 {
				delays = append(delays, tt.Failed("a"))
			}
			if diff := cmp.Diff([]time.Duration{1e9, 2e9, 4e9, 8e9, 10e9, 10e9}, delays); diff != "" {
				t.Error(diff)
			}
			if tt.Failures("a") != 6 {
				t.Errorf("Failures = %d", tt.Failures("a"))
			}
			tt.Succeeded("a")
			if d := tt.Failed("a"); d != time.Second {
				t.Errorf("after a success: %v", d)
			}
			time.Sleep(time.Second)
			c.want(t, "a 1s")
		},
		"without an interval only failures make it due": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", 0, 0)
			time.Sleep(time.Hour)
			c.want(t, "a 0s")
			tt.Failed("a")
			time.Sleep(time.Hour)
			c.want(t, "a 1h0m1s")
			tt.Failed("a")
			tt.Succeeded("a")
			time.Sleep(time.Hour)
			c.want(t)
		},
		"postponed past the interval": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", 0, time.Minute)
			time.Sleep(time.Second)
			tt.Postpone("a", time.Hour)
			time.Sleep(time.Hour)
			c.want(t, "a 0s", "a 1h0m1s")
		},
		"sleeps far ahead": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Set("a", 300*time.Hour, 0)
			time.Sleep(301 * time.Hour)
			c.want(t, "a 300h0m0s")
		},
		"unknown keys": func(t *testing.T, tt *sched.Timetable, c *calendar) {
			tt.Succeeded("a")
			tt.Postpone("a", 0)
			if d := tt.Failed("a"); d != 0 || tt.Failures("a") != 0 {
				t.Errorf("Failed = %v", d)
			}
			time.Sleep(time.Hour)
			c.want(t)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCalendar()
				tt := sched.NewTimetable(c.due, exact)
				defer tt.Close()
				test(t, tt, c)
			})
		})
	}
}

func TestNothingIsDueAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCalendar()
		tt := sched.NewTimetable(c.due, exact)
		tt.Set("a", time.Minute, time.Minute)
		tt.Close()
		tt.Set("b", 0, time.Minute)
		time.Sleep(time.Hour)
		c.want(t)
		tt.Close()
	})
}

func TestDueMayCallBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tt *sched.Timetable
		var calls atomic.Int32
		tt = sched.NewTimetable(func(key string) {
			if calls.Add(1) == 1 {
				tt.Failed(key)
			} else {
				tt.Remove(key)
			}
		}, exact)
		defer tt.Close()
		tt.Set("a", time.Second, time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls.Load() != 2 {
			t.Errorf("due %d times, want 2", calls.Load())
		}
	})
}

func TestJitterSpreadsWhatBeganTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		seen := map[time.Duration]int{}
		tt := sched.NewTimetable(func(string) {
			mu.Lock()
			defer mu.Unlock()
			seen[time.Since(begin).Round(time.Second)]++
		}, sched.TimetableOptions{})
		defer tt.Close()
		for i := range 1000 {
			tt.Set(fmt.Sprint(i), time.Hour, 10*time.Minute)
			tt.Succeeded(fmt.Sprint(i))
		}
		time.Sleep(11*time.Minute + time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		total := 0
		for at, n := range seen {
			if at < 9*time.Minute || at > 11*time.Minute || n > 60 {
				t.Errorf("%d keys due at %v", n, at)
			}
			total += n
		}
		if total != 1000 {
			t.Errorf("%d keys due within one interval, want 1000", total)
		}
	})
}

func TestBackoffDelay(t *testing.T) {
	tests := []struct {
		name     string
		b        sched.Backoff
		failures int
		random   float64
		want     time.Duration
	}{
		{"defaults, first", sched.Backoff{}, 1, 0, time.Second},
		{"defaults, third", sched.Backoff{}, 3, 0, 4 * time.Second},
		{"defaults, bounded", sched.Backoff{}, 30, 0, 5 * time.Minute},
		{"overflow", sched.Backoff{}, 1 << 30, 0, 5 * time.Minute},
		{"zero failures", sched.Backoff{}, 0, 0, time.Second},
		{"jitter shortens", sched.Backoff{Jitter: 0.5}, 1, 0.5, 750 * time.Millisecond},
		{"own bounds", sched.Backoff{Min: time.Minute, Max: 3 * time.Minute, Factor: 3}, 2, 0, 3 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.b.Delay(tt.failures, tt.random); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func BenchmarkTimetable10kKeys(b *testing.B) {
	tt := sched.NewTimetable(func(string) {}, sched.TimetableOptions{})
	defer tt.Close()
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("sync.app", i)
		tt.Set(keys[i], time.Hour, time.Hour)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tt.Succeeded(keys[i%len(keys)])
	}
}
