package credentials

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// A registry that forgets each password when it ends never sees an old one,
// over 200 rotations.
func TestRotation(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Second, time.Minute, 12 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{scope: registry.ScopeRegistry, life: life, delay: min(life/100, time.Second)}
			b := newBroker(t, Options{}, c.provider("a"))
			start := time.Now()
			var waited time.Duration
			first := mustGet(t, b, image)
			for c.requests() < 200 {
				began := time.Now()
				got := mustGet(t, b, image)
				waited += time.Since(began)
				if !c.accepts(got) || got.ID != first.ID {
					t.Fatalf("after %s: %q is not good any more", time.Since(start), got.ID)
				}
				time.Sleep(life / 20)
			}
			if parts := float64(time.Since(start)) / float64(life) / 200; parts < refreshFrom || parts > refreshTo+0.05 {
				t.Errorf("renewed after %.2f of the life", parts)
			}
			if waited > 0 {
				t.Errorf("callers waited %s for what is renewed in the background", waited)
			}
			if m := b.Metrics().Providers[0]; m.Refreshes < 190 || m.Cached != 1 || m.Expiry <= 0 || m.Expiry > life {
				t.Errorf("metrics %+v", m)
			}
		})
	}
}

// What is asked for seldom is good whenever it is asked for, to the last
// moment of its life.
func TestRareUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour, delay: time.Second}
		b := newBroker(t, Options{}, c.provider("a"))
		for i := range 200 {
			got := mustGet(t, b, image)
			time.Sleep(2 * time.Second) // on its way
			if !c.accepts(got) {
				t.Fatalf("%d: not good any more", i)
			}
			time.Sleep(time.Duration(i) * 37 * time.Second)
		}
	})
}

func TestUnusedIsNotRenewed(t *testing.T) {
	for _, life := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{scope: registry.ScopeRegistry, life: life}
			b := newBroker(t, Options{}, c.provider("a"))
			mustGet(t, b, image)
			time.Sleep(100 * time.Hour)
			if got := c.requests(); got != 1 {
				t.Errorf("life %s: asked %d times for what nobody uses", life, got)
			}
			if got := b.List()[0]; len(got.Cached) != 0 || got.Open {
				t.Errorf("life %s: still there: %+v", life, got)
			}
		})
	}
}

func TestEndlessIsAskedForNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry}
		b := newBroker(t, Options{}, c.provider("a"))
		for range 3600 {
			mustGet(t, b, image)
			time.Sleep(time.Second)
		}
		if got := c.requests(); got < 12 || got > 16 {
			t.Errorf("asked %d times in an hour", got)
		}
		c.set(func() { c.none = nothing })
		time.Sleep(recheck)
		if got := mustGet(t, b, image); got.ID != "" {
			t.Errorf("%q was withdrawn", got.ID)
		}
	})
}

func TestFailingRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		first := mustGet(t, b, image)
		c.set(func() { c.err = errDown })
		end := time.Now().Add(time.Hour)
		for time.Now().Before(end) {
			if got := mustGet(t, b, image); got.Password != first.Password {
				t.Fatal("the old one is good, and was not used")
			}
			time.Sleep(10 * time.Second)
		}
		if got := c.requests(); got < 8 || got > 30 {
			t.Errorf("asked %d times: renewals back off, up to two minutes", got)
		}
		told.want(t, Failing)
		if _, err := b.Credential(t.Context(), image); !errors.Is(err, errDown) {
			t.Fatalf("after its end: %v", err)
		}
		c.set(func() { c.err = nil })
		time.Sleep(2 * time.Minute)
		if got := mustGet(t, b, image); !c.accepts(got) {
			t.Error("the new one is not good")
		}
		told.want(t, Failing, Recovered)
	})
}

// A clock that is set neither makes what is good unused, nor what has ended
// used.
func TestWallClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			var offset atomic.Int64
			c := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
			b := newBroker(t, Options{Now: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }}, c.provider("a"))
			mustGet(t, b, image)
			time.Sleep(10 * time.Minute)
			offset.Store(int64(jump))
			for range 15 {
				mustGet(t, b, image)
				time.Sleep(time.Minute)
			}
			if got := c.requests(); got != 1 {
				t.Errorf("jump of %s: asked %d times for what is good", jump, got)
			}
			offset.Store(0) // before the renewal: ends are told by the wall clock
			time.Sleep(36 * time.Minute)
			if got := mustGet(t, b, image); !c.accepts(got) {
				t.Errorf("jump of %s: what has ended is used", jump)
			}
		})
	}
}

func TestSkewedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour, skew: -2 * time.Hour}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		for range 600 {
			if got := mustGet(t, b, image); !c.accepts(got) {
				t.Fatal("not good")
			}
			time.Sleep(time.Second)
		}
		if got := c.requests(); got < 10 || got > 21 {
			t.Errorf("asked %d times in ten minutes", got)
		}
		told.want(t, Skewed)
	})
}

// A clock that is behind makes credentials look good for longer than they are:
// each end costs one refused request, and not one more.
func TestClockBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour, skew: 48 * time.Hour}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		for range 100 {
			got := mustGet(t, b, image)
			if !c.accepts(got) {
				b.Reject(t.Context(), image, got)
				got = mustGet(t, b, image)
			}
			if !c.accepts(got) {
				t.Fatal("the second one is not good either")
			}
			time.Sleep(7 * time.Minute)
		}
		if got := c.requests(); got > 12 {
			t.Errorf("asked %d times in twelve hours", got)
		}
		told.want(t)
	})
}

// In the last moments of a life callers wait for the new one, unless there is
// none.
func TestLastMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour, delay: time.Second}
		b := newBroker(t, Options{}, c.provider("a"))
		first := mustGet(t, b, image)
		time.Sleep(time.Hour - lastMoments)
		second := mustGet(t, b, image)
		if second.Password == first.Password {
			t.Error("handed out what ends on its way")
		}
		time.Sleep(time.Hour - lastMoments)
		c.set(func() { c.err = errDown })
		if got := mustGet(t, b, image); got.Password != second.Password || !c.accepts(got) {
			t.Error("what is good to the end is not used for want of a new one")
		}
	})
}

// Failures count only in a row.
func TestNowAndThenAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
		var told notices
		b := newBroker(t, Options{Notify: told.add, Rand: func() float64 { return 0 }}, c.provider("a"))
		failures := func() uint64 { return b.Metrics().Providers[0].Failures }
		mustGet(t, b, image)
		for want := uint64(2); want <= 20; want += 2 {
			mustGet(t, b, image)
			c.set(func() { c.err = errDown })
			for failures() < want { // a renewal, and 1 s later another try
				time.Sleep(500 * time.Millisecond)
			}
			c.set(func() { c.err = nil })
			time.Sleep(5 * time.Second)
		}
		told.want(t)
	})
}
