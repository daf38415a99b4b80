package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

func TestRejectAsksAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour, delay: time.Second}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		old := mustGet(t, b, image)
		var wg sync.WaitGroup
		for range 20 { // all of them got the same 401
			wg.Go(func() {
				b.Reject(t.Context(), image, old)
				if got := mustGet(t, b, image); got.Password == old.Password || got.ID != old.ID {
					t.Error("got the refused one again")
				}
			})
		}
		wg.Wait()
		if got := c.requests(); got != 2 {
			t.Errorf("asked %d times", got)
		}
		told.want(t) // nothing: that is how rotation looks
	})
}

// A value that is refused and does not change is tried ever more seldom, and
// the new one is used once it is there.
func TestRefusedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		handed, refusals := 0, 0
		scan := func() {
			got, err := b.Credential(t.Context(), image)
			if r, ok := errors.AsType[*RefusedError](err); ok {
				if r.Provider != "a" || r.Host != image.Host || r.Repository != "team/web" || r.Username != "user" {
					t.Fatalf("%+v", r)
				}
				refusals++
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			handed++
			b.Reject(t.Context(), image, got)
		}
		scan()
		scan() // asks anew, and is told that it is the same
		if handed != 1 || refusals != 1 {
			t.Errorf("handed out %d times, refused %d times", handed, refusals)
		}
		for range 3600 {
			scan()
			time.Sleep(time.Second)
		}
		if handed < 12 || handed > 25 || c.requests() > 40 {
			t.Errorf("handed out %d times, asked %d times within an hour", handed, c.requests())
		}
		told.want(t, Refused)
		if got := b.List()[0]; !strings.Contains(got.Error, "refuses") {
			t.Errorf("the list does not tell: %+v", got)
		}
		c.set(func() { c.serial++ }) // somebody renews it
		time.Sleep(5 * time.Minute)
		if got := mustGet(t, b, image); got.Password.Reveal() != "planted-2-for-" {
			t.Error("the new one is not used")
		}
		told.want(t, Refused, Recovered)
	})
}

// A refused value that is handed out again and not refused is good again;
// Explain does not hand it out.
func TestTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		first := mustGet(t, b, image)
		b.Reject(t.Context(), image, first)
		if _, err := b.Credential(t.Context(), image); err == nil {
			t.Fatal("handed out again")
		}
		b.Reject(t.Context(), image, first) // a late word
		time.Sleep(5 * time.Second)
		if e := b.Explain(t.Context(), image); e.Chain[0].Outcome != Rejected || e.Error == "" || !strings.Contains(e.Advice, "Renew") {
			t.Errorf("explained as %+v", e)
		}
		mustGet(t, b, image) // as a scanner does, for the identity
		b.Reject(t.Context(), image, mustGet(t, b, image))
		for range 6 {
			time.Sleep(time.Second)
			if _, err := b.Credential(t.Context(), image); err == nil {
				t.Error("the second refusal counts for no more than the first")
			}
		}
		time.Sleep(4 * time.Second)
		mustGet(t, b, image)
		told.want(t, Refused)
		time.Sleep(trialFor)
		mustGet(t, b, image)
		told.want(t, Refused, Recovered)
	})
}

// Look tells what would be given, without giving it: neither is a refused value
// tried, nor is one renewed that nobody uses.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		first := mustGet(t, b, image)
		b.Reject(t.Context(), image, first)
		for range 60 {
			if _, err := b.Look(t.Context(), image); err == nil {
				t.Fatal("a refused value is given for a look")
			}
			time.Sleep(time.Minute)
		}
		told.want(t, Refused)
		c.set(func() { c.serial++ })
		time.Sleep(recheck)
		got, err := b.Look(t.Context(), image)
		if err != nil || got.Password == first.Password || got.ID != first.ID {
			t.Errorf("after a renewal: %v", err)
		}
		before := c.requests()
		time.Sleep(time.Hour)
		if c.requests() != before {
			t.Error("what is only looked at is renewed")
		}
	})
}

func TestRefusalIsOfOneRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true}
		b := newBroker(t, Options{}, c.provider("a"))
		for i := range 50 {
			req := repository("private/" + string(rune('a'+i)))
			b.Reject(t.Context(), req, mustGet(t, b, req))
			if _, err := b.Credential(t.Context(), req); err == nil {
				t.Error("handed out again")
			}
		}
		if got := c.requests(); got != 2 {
			t.Errorf("asked %d times because of 50 repositories that it may not read", got)
		}
		mustGet(t, b, image)
	})
}

// After a block the provider is asked before the old value is tried again.
func TestNewValueAfterABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true, life: 1000 * time.Hour}
		b := newBroker(t, Options{}, c.provider("a"))
		old := mustGet(t, b, image)
		b.Reject(t.Context(), image, old)
		if _, err := b.Credential(t.Context(), image); err == nil {
			t.Error("handed out again")
		}
		c.set(func() { c.serial++ })
		time.Sleep(refusalBackoff.Min)
		if got := mustGet(t, b, image); got.Password == old.Password || c.requests() != 3 {
			t.Errorf("the old value again, after %d questions", c.requests())
		}
	})
}

func TestRefusedDoesNotHideTheNext(t *testing.T) {
	first, second := &cloud{scope: registry.ScopeRegistry, stuck: true}, &cloud{scope: registry.ScopeRegistry}
	b := newBroker(t, Options{}, first.provider("a"), second.provider("b"))
	b.Reject(t.Context(), image, mustGet(t, b, image))
	got := mustGet(t, b, image)
	if got.Provider != "b" {
		t.Errorf("%q answers", got.Provider)
	}
	if e := b.Explain(t.Context(), image); e.Provider != "b" || e.Chain[0].Outcome != Rejected || !strings.Contains(e.Advice, "b answers in its place") {
		t.Errorf("explained as %+v", e)
	}
}

// The provider fails when it is asked anew: what is refused is not used for
// want of better.
func TestRejectWhileTheProviderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
		b := newBroker(t, Options{}, c.provider("a"))
		old := mustGet(t, b, image)
		c.set(func() { c.err = errDown })
		b.Reject(t.Context(), image, old)
		for range 100 {
			if _, err := b.Credential(t.Context(), image); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
		}
		if got := c.requests(); got != 2 {
			t.Errorf("asked %d times", got)
		}
	})
}

func TestRejectOfAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, none: nothing}
		b := newBroker(t, Options{}, c.provider("a"))
		for range 30 {
			b.Reject(t.Context(), image, mustGet(t, b, image))
			time.Sleep(time.Second)
		}
		if got := c.requests(); got != 3 {
			t.Errorf("asked %d times", got)
		}
		c.set(func() { c.none = nil })
		time.Sleep(doubtAfter)
		b.Reject(t.Context(), image, Credential{})
		if got := mustGet(t, b, image); got.ID == "" {
			t.Error("the new secret is not found")
		}
	})
}

func TestRejectOfTheUnknown(t *testing.T) {
	c := &cloud{scope: registry.ScopeRegistry}
	b := newBroker(t, Options{}, c.provider("a"))
	got := mustGet(t, b, image)
	b.Reject(t.Context(), Request{}, got)
	b.Configure(nil)
	b.Reject(context.Background(), image, got)
	if got := mustGet(t, b, image); got.ID != "" {
		t.Errorf("%q is in the configuration no more", got.ID)
	}
}

func TestRefusalsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, stuck: true, life: 1000 * time.Hour}
		b := newBroker(t, Options{}, c.provider("a"))
		for i := range 100 {
			req := repository(string(rune('a' + i)))
			b.Reject(t.Context(), req, mustGet(t, b, req))
			time.Sleep(10 * time.Minute)
		}
		s := (*b.chain.Load())[0].issuer
		s.mu.Lock()
		defer s.mu.Unlock()
		if n := len(s.refusals); n > 7 {
			t.Errorf("%d refusals are kept", n)
		}
	})
}
