package credentials

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

func TestIdleInstanceIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: 12 * time.Hour}
		b := newBroker(t, Options{}, c.provider("a"))
		if c.opens() != 0 {
			t.Error("opened before it is needed")
		}
		mustGet(t, b, image)
		time.Sleep(9 * time.Minute)
		if c.handles() != 1 {
			t.Error("closed too soon")
		}
		for range 60 { // from the cache: the plugin has nothing to do for hours
			mustGet(t, b, image)
			time.Sleep(time.Minute)
		}
		if c.handles() != 0 || b.List()[0].Open {
			t.Error("not closed")
		}
		time.Sleep(11 * time.Hour)
		if c.opens() != 2 || c.requests() != 2 || c.handles() != 0 {
			t.Errorf("opened %d times for %d questions, %d open; want it opened for the renewal", c.opens(), c.requests(), c.handles())
		}
	})
}

func TestInstanceStaysForRenewalsThatAreNear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: 10 * time.Minute}
		b := newBroker(t, Options{Idle: 3 * time.Minute, Rand: func() float64 { return 0 }}, c.provider("a"))
		for range 24 * 60 {
			mustGet(t, b, image)
			time.Sleep(time.Minute)
		}
		if c.opens() != 1 {
			t.Errorf("opened %d times", c.opens())
		}
	})
}

func TestConfigureKeepsWhatDidNotChange(t *testing.T) {
	kept, changed, removed, added := &cloud{}, &cloud{}, &cloud{}, &cloud{}
	for _, c := range []*cloud{kept, changed, removed, added} {
		c.scope = registry.ScopeRegistry
	}
	on := func(c *cloud, host, key string) Provider {
		p := c.provider("for " + host)
		p.Match, p.Key = []string{host}, key
		return p
	}
	b := newBroker(t, Options{}, on(kept, "kept", "1"), on(changed, "changed", "1"), on(removed, "removed", "1"))
	get := func(host string) Credential { return mustGet(t, b, Request{Host: host, Repository: "a"}) }
	before := map[string]Credential{}
	for _, host := range []string{"kept", "changed", "removed"} {
		before[host] = get(host)
	}
	wider := on(kept, "kept", "1")
	wider.Match = append(wider.Match, "kept.too")
	b.Configure([]Provider{on(added, "added", "1"), on(changed, "changed", "2"), wider})

	if get("kept") != before["kept"] || kept.opened != 1 {
		t.Error("the answer of what did not change is lost")
	}
	if get("kept.too").Provider != "for kept" {
		t.Error("the new match of it is not used")
	}
	if got := get("changed"); got.Password == before["changed"].Password || got.ID != before["changed"].ID {
		t.Error("the answer of what changed is kept, or has another identity")
	}
	if got := get("removed"); got.ID != "" {
		t.Errorf("%q was removed", got.ID)
	}
	if get("added").Provider != "for added" {
		t.Error("what was added is not asked")
	}
	var order []string
	for _, p := range b.List() {
		order = append(order, p.Provider)
	}
	if want := []string{"for added", "for changed", "for kept"}; !slices.Equal(order, want) {
		t.Errorf("order %v", order)
	}
}

// Calls on a handle that is replaced end by themselves before it is closed;
// callers get what the new configuration gives.
func TestConfigureDuringUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &cloud{scope: registry.ScopeRegistry, delay: time.Second, lister: true}
		after := &cloud{scope: registry.ScopeRegistry, delay: time.Second}
		b := newBroker(t, Options{}, before.provider("a"))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if got := mustGet(t, b, image); got.Provider != "b" {
					t.Errorf("got one of %q", got.Provider)
				}
			})
		}
		time.Sleep(1500 * time.Millisecond) // it is open, and asked
		b.Configure([]Provider{after.provider("b")})
		synctest.Wait()
		if before.handles() != 1 {
			t.Error("closed under a call") // the fake panics, too
		}
		wg.Wait()
		synctest.Wait()
		if before.handles() != 0 || after.handles() != 1 {
			t.Errorf("%d and %d handles are open", before.handles(), after.handles())
		}
	})
}

func TestConfigureAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clouds := []*cloud{
			{scope: registry.ScopeRegistry, life: 3 * time.Second, delay: 100 * time.Millisecond, lister: true},
			{scope: registry.ScopeRepository, life: 5 * time.Second, delay: 300 * time.Millisecond, consumers: true},
		}
		b := newBroker(t, Options{Idle: time.Second})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 300 {
					got, err := b.Credential(t.Context(), image)
					if err != nil {
						t.Error(err)
					}
					if i%4 == 0 && got.ID != "" {
						b.Reject(t.Context(), image, got)
					}
					if i%4 == 1 {
						if _, err := b.Tags(t.Context(), image, func(registry.Tag) {}); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Duration(50*(i+1)) * time.Millisecond)
				}
			})
		}
		for i := range 200 {
			var chain []Provider
			for j, c := range clouds {
				if (i>>j)%3 > 0 {
					p := c.provider(string(rune('a' + j)))
					p.Key = string(rune('0' + i/7%5))
					chain = append(chain, p)
				}
			}
			b.Configure(chain)
			time.Sleep(170 * time.Millisecond)
		}
		wg.Wait()
		b.Configure(nil)
		time.Sleep(time.Second) // the calls under way end by themselves
		synctest.Wait()
		for _, c := range clouds {
			if c.handles() != 0 {
				t.Errorf("%d handles are open", c.handles())
			}
		}
	})
}

func TestTags(t *testing.T) {
	lister := &cloud{scope: registry.ScopeRegistry, lister: true}
	plain := &cloud{scope: registry.ScopeRegistry, consumers: true}
	plain.none = func(req registry.Request) bool { return req.Consumer.Namespace != "shop" }
	b := newBroker(t, Options{}, plain.provider("secrets"), lister.provider("a"))
	list := func(req Request) (n int, native bool, err error) {
		native, err = b.Tags(t.Context(), req, func(registry.Tag) { n++ })
		return n, native, err
	}
	if n, native, err := list(image); n != 1 || !native || err != nil {
		t.Errorf("%d tags, %v, %v", n, native, err)
	}
	if n, native, err := list(repository("unlisted/a")); n != 0 || native || err != nil {
		t.Errorf("a registry that it has no API for: %d tags, %v, %v", n, native, err)
	}
	mine := image
	mine.Consumer = Consumer{Namespace: "shop"}
	if n, native, err := list(mine); n != 0 || native || err != nil {
		t.Errorf("listed by a credential that is not the consumer's: %d tags, %v, %v", n, native, err)
	}
	lister.set(func() { lister.err = errDown })
	if _, native, err := list(image); !native || !errors.Is(err, errDown) || err.Error() != "a: the cloud is down" {
		t.Errorf("a partial listing: %v, %v", native, err)
	}
	b.Configure(nil)
	if n, native, err := list(image); n != 0 || native || err != nil {
		t.Errorf("nobody: %d tags, %v, %v", n, native, err)
	}
}

// A plugin that was replaced by one that answers for consumers, or no more for
// them, while its instance was closed.
func TestPluginChangesItsSort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry}
		b := newBroker(t, Options{Idle: time.Second}, c.provider("a"))
		req := image
		req.Consumer = Consumer{Namespace: "shop"}
		want := func(request registry.Consumer) {
			t.Helper()
			mustGet(t, b, req)
			if got := c.asked[len(c.asked)-1].Consumer; got.Namespace != request.Namespace {
				t.Errorf("asked for %+v, want %+v", got, request)
			}
		}
		want(registry.Consumer{})
		time.Sleep(time.Hour)
		c.set(func() { c.consumers = true })
		want(registry.Consumer{Namespace: "shop"})
		time.Sleep(time.Hour)
		c.set(func() { c.consumers = false })
		want(registry.Consumer{})
	})
}

// The plugin cannot be opened again when a credential is to be renewed: that
// is a failed renewal as any other.
func TestReopeningFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, life: 10 * time.Hour}
		var told notices
		b := newBroker(t, Options{Notify: told.add, Rand: func() float64 { return 0 }}, c.provider("a"))
		mustGet(t, b, image)
		c.set(func() { c.openErr = errDown })
		for range 10*60 - 1 {
			if got := mustGet(t, b, image); !c.accepts(got) {
				t.Fatal("not good")
			}
			time.Sleep(time.Minute)
		}
		told.want(t, Failing)
		c.set(func() { c.openErr = nil })
		time.Sleep(2 * time.Minute)
		if got := mustGet(t, b, image); !c.accepts(got) {
			t.Error("not good")
		}
		told.want(t, Failing, Recovered)
	})
}
