package credentials

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

func nothing(registry.Request) bool { return true }

func TestChain(t *testing.T) {
	with := func(p Provider, change func(*Provider)) Provider { change(&p); return p }
	good := func() *cloud { return &cloud{scope: registry.ScopeRegistry} }
	for _, tt := range []struct {
		name  string
		chain []Provider
		req   Request
		want  string // provider
		err   string
	}{
		{name: "nobody"},
		{name: "the first answers", chain: []Provider{good().provider("a"), good().provider("b")}, want: "a"},
		{name: "the first has nothing", chain: []Provider{(&cloud{none: nothing}).provider("a"), good().provider("b")}, want: "b"},
		{name: "nobody has anything", chain: []Provider{(&cloud{none: nothing}).provider("a")}},
		{name: "the first fails", chain: []Provider{(&cloud{err: errDown}).provider("a"), good().provider("b")}, want: "b"},
		{name: "the first cannot be opened", chain: []Provider{(&cloud{openErr: errDown}).provider("a"), good().provider("b")}, want: "b"},
		{
			name:  "failures are not anonymous",
			chain: []Provider{(&cloud{err: errDown}).provider("a"), (&cloud{openErr: errDown}).provider("b"), (&cloud{none: nothing}).provider("c")},
			err:   "no credential for registry.example.com/team/web: a: the cloud is down; b: the cloud is down",
		},
		{
			name:  "match",
			chain: []Provider{with((&cloud{err: errDown}).provider("a"), func(p *Provider) { p.Match = []string{"gcr.io", "registry.example.com/other"} }), good().provider("b")},
			want:  "b",
		},
		{
			name:  "another cluster",
			chain: []Provider{with(good().provider("a"), func(p *Provider) { p.Applier = "applier.kubernetes.dev" }), good().provider("b")},
			req:   Request{Host: image.Host, Repository: "team/web", Consumer: Consumer{Applier: "applier.kubernetes.prod"}},
			want:  "b",
		},
		{
			name:  "the daemon has no pull secrets",
			chain: []Provider{with(good().provider("a"), func(p *Provider) { p.Applier = "applier.kubernetes.dev" })},
		},
		{
			name:  "its cluster",
			chain: []Provider{with(good().provider("a"), func(p *Provider) { p.Applier = "applier.kubernetes.dev" })},
			req:   Request{Host: image.Host, Repository: "team/web", Consumer: Consumer{Applier: "applier.kubernetes.dev"}},
			want:  "a",
		},
		{name: "an empty credential", chain: []Provider{{Address: "a", Open: emptyHanded}}, err: "no credential for registry.example.com/team/web: a: it returned a credential without a password or token; a provider that has nothing says so"},
		{name: "no repository", req: Request{Host: "gcr.io"}, err: "a credential is asked for a host and a repository"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.req.Host == "" {
				tt.req = image
			}
			c, err := newBroker(t, Options{}, tt.chain...).Credential(t.Context(), tt.req)
			if c.Provider != tt.want || (c.ID == "") != (tt.want == "") {
				t.Errorf("credential %q of %q, want one of %q", c.ID, c.Provider, tt.want)
			}
			if text := errorText(err); text != tt.err {
				t.Errorf("error %q, want %q", text, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

type empty struct{ *cloudHandle }

func (empty) Credential(context.Context, registry.Request) (registry.Credential, error) {
	return registry.Credential{Username: "user"}, nil
}

func emptyHanded(context.Context) (Handle, error) {
	return empty{&cloudHandle{cloud: &cloud{open: 1}}}, nil
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	c := &cloud{err: sdk.RetryAfter(errDown, time.Minute)}
	_, err := newBroker(t, Options{}, c.provider("a")).Credential(t.Context(), image)
	if d, ok := sdk.RetryDelay(err); !errors.Is(err, errDown) || !ok || d != time.Minute {
		t.Errorf("%v lost what it was", err)
	}
}

func TestScopes(t *testing.T) {
	requests := []Request{
		{Host: "docker.io", Repository: "a"}, {Host: "index.docker.io", Repository: "a"},
		{Host: "registry-1.docker.io", Repository: "b"}, {Host: "gcr.io", Repository: "a"},
	}
	for scope, want := range map[registry.Scope]struct{ asked, ids int }{
		registry.ScopeRepository: {3, 3}, registry.ScopeRegistry: {2, 2}, registry.ScopeGlobal: {2, 1}, "": {3, 3},
	} {
		c := &cloud{scope: scope}
		b := newBroker(t, Options{}, c.provider("a"))
		ids := map[string]bool{}
		for range 2 {
			for _, req := range requests {
				ids[mustGet(t, b, req).ID] = true
			}
		}
		if got := c.requests(); got != want.asked || len(ids) != want.ids {
			t.Errorf("scope %q: asked %d times, %d identities, want %+v", scope, got, len(ids), want)
		}
		if host := c.asked[0].Host; host != "index.docker.io" {
			t.Errorf("the provider was asked for %s", host)
		}
	}
}

// A credential for every host of a provider is for no other host, however wide
// the match: an image name must not lead it to a registry of the writer's.
func TestGlobalIsNotEverywhere(t *testing.T) {
	c := &cloud{scope: registry.ScopeGlobal, none: func(r registry.Request) bool { return !strings.HasSuffix(r.Host, ".gcr.io") }}
	b := newBroker(t, Options{}, c.provider("a"))
	good := mustGet(t, b, Request{Host: "eu.gcr.io", Repository: "team/web"})
	for range 2 { // asked, and known
		if got := mustGet(t, b, Request{Host: "registry.evil.example", Repository: "team/web"}); got.ID != "" {
			t.Fatalf("%q was given for a host that the provider does not know", got.ID)
		}
	}
	if got := mustGet(t, b, Request{Host: "us.gcr.io", Repository: "team/web"}); got.ID != good.ID {
		t.Errorf("another host of the provider got %q", got.ID)
	}
	if got := mustGet(t, b, Request{Host: "eu.gcr.io", Repository: "other"}); got.ID != good.ID {
		t.Errorf("the first host got %q", got.ID)
	}
	if x := b.Explain(t.Context(), Request{Host: "registry.evil.example", Repository: "other"}); !x.Anonymous {
		t.Errorf("explained as %+v", x)
	}
}

func TestOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry, delay: time.Second}
		b := newBroker(t, Options{}, c.provider("a"))
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // the first, on whose behalf everything is begun
			if _, err := b.Credential(impatient, image); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a: it has not answered in time") {
				t.Errorf("the impatient got %v", err)
			}
		})
		synctest.Wait()
		for i := range 100 {
			wg.Go(func() {
				got, err := b.Credential(t.Context(), repository("team/"+string(rune('a'+i%26))))
				if err != nil || !c.accepts(got) {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if c.opens() != 1 || c.requests() != 1 {
			t.Errorf("opened %d times, asked %d times", c.opens(), c.requests())
		}
	})
}

// What has an answer for each repository, or nothing for any, is asked for
// them at the same time.
func TestRepositoriesDoNotWaitForEachOther(t *testing.T) {
	for _, c := range []*cloud{{scope: registry.ScopeRepository}, {none: nothing}} {
		synctest.Test(t, func(t *testing.T) {
			c.delay = time.Second
			b := newBroker(t, Options{}, c.provider("a"))
			mustGet(t, b, image)
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() { mustGet(t, b, repository(string(rune('a'+i)))) })
			}
			wg.Wait()
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestNegativeAnswers(t *testing.T) {
	down := func(err error) *cloud { return &cloud{err: err} }
	for _, tt := range []struct {
		name     string
		cloud    *cloud
		origin   Origin
		min, max int // questions within an hour of asking each second
	}{
		{"nothing", &cloud{none: nothing}, Declared, 12, 13},
		{"no pull secret", &cloud{none: nothing}, PullSecrets, 59, 61},
		{"failures", down(errDown), Declared, 30, 45},
		{"failures that say when", down(sdk.RetryAfter(errDown, 20*time.Minute)), Declared, 3, 4},
		{"failures that say at once", down(sdk.RetryAfter(errDown, 0)), Declared, 1000, 3600},
		{"failures for good", down(sdk.Permanent(errDown)), Declared, 30, 31},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := tt.cloud.provider("a")
				p.Origin = tt.origin
				b := newBroker(t, Options{}, p)
				for range 3600 {
					if _, err := b.Credential(t.Context(), image); (err == nil) != (tt.cloud.err == nil) {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				if got := tt.cloud.requests(); got < tt.min || got > tt.max {
					t.Errorf("asked %d times in an hour, want %d to %d", got, tt.min, tt.max)
				}
			})
		})
	}
}

// TestNothingOutlivesFailures: what needs no credential does not wait for a
// provider that cannot tell just now, but for no longer than an hour.
func TestNothingOutlivesFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{none: nothing}
		b := newBroker(t, Options{}, c.provider("a"))
		ask := func() error { _, err := b.Credential(t.Context(), image); return err }
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		c.set(func() { c.err, c.none = errDown, nil })
		for range 50 {
			time.Sleep(time.Minute)
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}
		if step := b.Explain(t.Context(), image).Chain[0]; step.Outcome != Anonymous || !strings.Contains(step.Error, "the cloud is down") {
			t.Errorf("explained: %+v", step)
		}
		time.Sleep(nothingLeft)
		if err := ask(); !errors.Is(err, errDown) {
			t.Errorf("after an hour of failures: %v", err)
		}
	})
}

func TestOpeningFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{openErr: errDown}
		var told notices
		b := newBroker(t, Options{Notify: told.add}, c.provider("a"))
		for range 600 {
			if _, err := b.Credential(t.Context(), image); !errors.Is(err, errDown) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if c.opens() > 12 {
			t.Errorf("opened %d times in ten minutes", c.opens())
		}
		c.set(func() { c.openErr = nil })
		time.Sleep(2 * time.Minute)
		mustGet(t, b, image)
		told.want(t, Failing, Recovered)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{delay: time.Hour}
		b := New(Options{})
		b.Configure([]Provider{c.provider("a")})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.Credential(t.Context(), image); !errors.Is(err, ErrClosed) {
				t.Errorf("a call during Close: %v", err)
			}
		})
		synctest.Wait()
		for range 2 {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if _, err := b.Credential(t.Context(), image); !errors.Is(err, ErrClosed) {
			t.Errorf("a call after Close: %v", err)
		}
		if _, err := b.Tags(t.Context(), image, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Tags after Close: %v", err)
		}
		if e := b.Explain(t.Context(), image); e.Error == "" {
			t.Error("Explain after Close says nothing of it")
		}
		b.Configure([]Provider{c.provider("b")})
		if c.handles() != 0 {
			t.Errorf("%d handles are open", c.handles())
		}
	})
}
