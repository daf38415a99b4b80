package credentials

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets := (&cloud{consumers: true, none: nothing, scope: registry.ScopeRegistry}).provider("pull secrets of prod")
		secrets.Origin, secrets.Applier = PullSecrets, "prod"
		other := (&cloud{}).provider("registry_credential.gcr.x")
		other.Match = []string{"gcr.io"}
		broken := (&cloud{err: errDown}).provider("registry_credential.exec.y")
		good := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
		builtin := (&cloud{scope: registry.ScopeGlobal}).provider("built-in docker")
		builtin.Origin = BuiltIn
		b := newBroker(t, Options{Rand: func() float64 { return 0 }}, secrets, other, broken, good.provider("registry_credential.docker_config.z"), builtin)
		req := image
		req.Consumer = Consumer{Applier: "prod", Namespace: "shop"}
		now := time.Now()
		e := b.Explain(t.Context(), req)
		want := Explanation{
			Host: image.Host, Repository: image.Repository, Consumer: req.Consumer,
			Provider: "registry_credential.docker_config.z", ID: "registry_credential.docker_config.z, registry.example.com",
			Advice: "Make registry_credential.exec.y work, see its error, or narrow its match so that it is not asked for registry.example.com. " +
				"Until then registry_credential.docker_config.z answers in its place.",
			Chain: []Step{
				{Provider: "pull secrets of prod", Origin: PullSecrets, Outcome: Anonymous, NextTry: now.Add(noSecretFor)},
				{Provider: "registry_credential.gcr.x", Origin: Declared, Match: []string{"gcr.io"}, Outcome: NotAsked, Reason: "its match does not cover the image"},
				{Provider: "registry_credential.exec.y", Origin: Declared, Outcome: Failed, Error: "registry_credential.exec.y: the cloud is down", NextTry: now.Add(time.Second)},
				{
					Provider: "registry_credential.docker_config.z", Origin: Declared, Outcome: Answered, Wins: true, Scope: "registry",
					ID: "registry_credential.docker_config.z, registry.example.com", Username: "user", ExpiresAt: now.Add(time.Hour),
				},
				{Provider: "built-in docker", Origin: BuiltIn, Outcome: Answered, Scope: "global", ID: "built-in docker", Username: "user"},
			},
		}
		if diff := cmp.Diff(want, e, cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("explanation (-want +got):\n%s", diff)
		}
		if got := mustGet(t, b, req); got.ID != e.ID {
			t.Errorf("Credential gives %q, and Explain tells %q", got.ID, e.ID)
		}
		asked := good.requests()
		if again := b.Explain(t.Context(), req); !again.Chain[3].Cached || again.Chain[1].Cached || good.requests() != asked {
			t.Errorf("the cache is not used, or not told of: %+v", again.Chain)
		}
	})
}

func TestExplainNobody(t *testing.T) {
	b := newBroker(t, Options{})
	e := b.Explain(t.Context(), Request{Host: "docker.io", Repository: "library/nginx"})
	if !e.Anonymous || e.Error != "" || e.Host != "index.docker.io" || !strings.Contains(e.Advice, `match = ["index.docker.io"]`) {
		t.Errorf("%+v", e)
	}
	b.Configure([]Provider{(&cloud{err: errDown}).provider("a")})
	if e = b.Explain(t.Context(), image); e.Anonymous || e.Error == "" || !strings.Contains(e.Advice, "Make a work") {
		t.Errorf("%+v", e)
	}
	if e = b.Explain(t.Context(), Request{}); e.Error == "" {
		t.Errorf("%+v", e)
	}
	bad := (&cloud{}).provider("a")
	bad.Match = []string{"https://gcr.io"}
	b.Configure([]Provider{bad})
	if e = b.Explain(t.Context(), image); !e.Anonymous || !strings.Contains(e.Chain[0].Reason, "scheme") || !strings.Contains(b.List()[0].Error, "scheme") {
		t.Errorf("a pattern that is none is not told of: %+v", e)
	}
}

// TestAdvice: pull secrets are repaired in their cluster.
func TestAdvice(t *testing.T) {
	c := &cloud{scope: registry.ScopeRegistry, consumers: true, stuck: true}
	p := c.provider("secrets")
	p.Origin, p.Applier = PullSecrets, "prod"
	b := newBroker(t, Options{}, p)
	req := image
	req.Consumer = Consumer{Applier: "prod", Namespace: "shop", PullSecrets: []string{"a", "b"}}
	b.Reject(t.Context(), req, mustGet(t, b, req))
	if _, err := b.Credential(t.Context(), req); err == nil {
		t.Error("a refused credential is handed out")
	}
	want := `Renew the password of "user" in a, b or the pull secrets of the service account default, or let that user read team/web at registry.example.com; a new one is used at once.`
	if e := b.Explain(t.Context(), req); e.Chain[0].Outcome != Rejected || e.Advice != want {
		t.Errorf("%+v, want the advice %q", e, want)
	}
	c.set(func() { c.err = errors.Join(errors.New("secret a is odd"), errors.New("secret b, too")) })
	b.Configure(nil)
	p.Key = "2"
	b.Configure([]Provider{p})
	e := b.Explain(t.Context(), req)
	if step := e.Chain[0]; step.Error != "secrets: secret a is odd; secret b, too" || e.Advice != "Put the pull secrets right, see the error of secrets." {
		t.Errorf("%+v", e)
	}
}

// TestExplainAsks: who repaired something sees that at once, and who looks at
// what is broken does not make it wait longer.
func TestExplainAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRegistry}
		b := newBroker(t, Options{Rand: func() float64 { return 0 }}, c.provider("a"))
		explain := func(want Outcome, cached bool, problem string) Step {
			t.Helper()
			step := b.Explain(t.Context(), image).Chain[0]
			if step.Outcome != want || step.Cached != cached || step.Error != problem {
				t.Errorf("%+v, want %s, cached %t, error %q", step, want, cached, problem)
			}
			return step
		}
		first := mustGet(t, b, image)
		explain(Answered, true, "")
		time.Sleep(freshFor)
		explain(Answered, false, "")
		if second := mustGet(t, b, image); second.Password == first.Password {
			t.Error("what Explain found is not handed out")
		}
		c.set(func() { c.err = errDown })
		time.Sleep(freshFor)
		explain(Answered, false, "a: the cloud is down")
		c.set(func() { c.err, c.none = nil, nothing })
		time.Sleep(2 * freshFor) // it was renewed meanwhile, too
		explain(Anonymous, false, "")
		c.set(func() { c.err, c.none = errDown, nil })
		time.Sleep(freshFor)
		c.set(func() { c.err = sdk.RetryAfter(errDown, time.Hour) })
		next := explain(Anonymous, false, "a: the cloud is down").NextTry
		for range 10 {
			time.Sleep(freshFor)
			if again := explain(Anonymous, false, "a: the cloud is down").NextTry; !again.Equal(next) {
				t.Errorf("the next try is at %s, and was at %s before somebody asked", again, next)
			}
		}
		c.set(func() { c.err = nil })
		time.Sleep(freshFor)
		explain(Answered, false, "")
	})
}

// TestReasons: why a provider has nothing is told for as long as that is
// known, and on one line of bounded length.
func TestReasons(t *testing.T) {
	for why, want := range map[error]string{
		registry.ErrAnonymous: "",
		fmt.Errorf("secret shop/nope does not exist: %w", registry.ErrAnonymous):           "secret shop/nope does not exist",
		fmt.Errorf("in vain: %w", fmt.Errorf("no\n such file: %w", registry.ErrAnonymous)): "in vain: no such file",
		fmt.Errorf("%w for the like of you", registry.ErrAnonymous):                        "no credential for this image for the like of you",
		fmt.Errorf("%s: %w", strings.Repeat("é", maxReason), registry.ErrAnonymous):        strings.Repeat("é", maxReason/2) + " ...",
		fmt.Errorf("the password planted-1-for- is old: %w", registry.ErrAnonymous):        "the password (redacted) is old",
		errors.Join(errors.New("a"), fmt.Errorf("b: %w", registry.ErrAnonymous)):           "a b",
	} {
		c := &cloud{scope: registry.ScopeRepository}
		b := newBroker(t, Options{}, c.provider("a"))
		mustGet(t, b, image)
		c.set(func() { c.none, c.why = nothing, why })
		for _, cached := range []bool{false, true} {
			e := b.Explain(t.Context(), repository("other"))
			if step := e.Chain[0]; !e.Anonymous || step.Outcome != Anonymous || step.Reason != want || step.Cached != cached {
				t.Errorf("%v: %+v, want the reason %q", why, step, want)
			}
		}
		if got, err := b.Credential(t.Context(), repository("other")); err != nil || got.ID != "" {
			t.Errorf("%v: credential %q, %v", why, got.ID, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{scope: registry.ScopeRepository, life: time.Hour}
		endless := (&cloud{scope: registry.ScopeRegistry}).provider("b")
		endless.Match = []string{"gcr.io"}
		p := c.provider("a")
		p.Match = []string{image.Host}
		b := newBroker(t, Options{}, p, endless)
		first := mustGet(t, b, image)
		time.Sleep(10 * time.Minute)
		mustGet(t, b, repository("other"))
		mustGet(t, b, Request{Host: "gcr.io", Repository: "a"})
		b.Reject(t.Context(), image, first)
		c.set(func() { c.err = errDown })
		if _, err := b.Credential(t.Context(), image); err == nil {
			t.Error("no failure to count")
		}
		want := Metrics{Providers: []ProviderMetrics{
			{Provider: "a", Counters: Counters{Requests: 3, Failures: 1, Refusals: 1}, Cached: 2, Expiry: 50 * time.Minute},
			{Provider: "b", Counters: Counters{Requests: 1}, Cached: 1, Expiry: -1},
		}}
		if diff := cmp.Diff(want, b.Metrics()); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	})
}

// lockedBuffer takes writes from several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// leaky is a provider whose author prints what must not be printed.
type leaky struct{ *cloudHandle }

func (l leaky) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	c, err := l.cloudHandle.Credential(ctx, req)
	if err != nil {
		return c, fmt.Errorf("POST password=planted-1-for-: %w", err)
	}
	return c, nil
}

func (l leaky) Close(ctx context.Context) error {
	return errors.Join(l.cloudHandle.Close(ctx), errors.New("cannot close"))
}

// No text that leaves the broker holds a password.
func TestNoSecretLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		c := &cloud{scope: registry.ScopeRegistry, life: time.Hour}
		p := Provider{Address: "a", Key: "1", Open: func(ctx context.Context) (Handle, error) {
			h, err := c.Open(ctx)
			return leaky{h.(*cloudHandle)}, err
		}}
		b := newBroker(t, Options{
			Logger: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Notify: func(n Notice) { fmt.Fprintf(&out, "%#v\n", n) },
		}, p)
		show := func() {
			got, err := b.Credential(t.Context(), image)
			fmt.Fprintf(&out, "%v\n%+v\n%#v\n%v\n", got, got, got, err)
			for _, v := range []any{got, b.List(), b.Explain(t.Context(), image), b.Metrics()} {
				if err := json.NewEncoder(&out).Encode(v); err != nil {
					t.Error(err)
				}
				fmt.Fprintf(&out, "%+v\n", v)
			}
		}
		show()
		c.set(func() { c.err = errDown })
		b.Reject(t.Context(), image, mustGet(t, b, image))
		for range 100 {
			show()
			time.Sleep(time.Minute)
		}
		b.Configure(nil)
		synctest.Wait()
		text := out.String()
		if !strings.Contains(text, "the cloud is down") || !strings.Contains(text, "cannot close") {
			t.Errorf("the test shows nothing: %s", text)
		}
		if i := strings.Index(text, "planted"); i >= 0 {
			t.Errorf("a password was printed: ...%s", text[max(0, i-300):min(len(text), i+30)])
		}
	})
}

func BenchmarkCached(b *testing.B) {
	consumer := Consumer{Applier: "applier.kubernetes.prod", Namespace: "shop", ServiceAccount: "default", PullSecrets: []string{"regcred"}}
	for name, c := range map[string]*cloud{
		"daemon":   {scope: registry.ScopeRegistry},
		"consumer": {scope: registry.ScopeRegistry, consumers: true},
	} {
		b.Run(name, func(b *testing.B) {
			broker := New(Options{})
			defer func() { _ = broker.Close(context.Background()) }()
			first := (&cloud{}).provider("other")
			first.Match = DefaultMatch("ecr")
			broker.Configure([]Provider{first, c.provider("a")})
			req := image
			req.Consumer = consumer
			b.ReportAllocs()
			for b.Loop() {
				if _, err := broker.Credential(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
