package credentials

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// randomConsumer makes consumers that differ little: names that contain each
// other, separators, secrets in another order.
func randomConsumer(r *rand.Rand) Consumer {
	names := []string{"", "a", "b", "a,b", "a/b", "1:a", "a\x00b", "shop", "shop with a", "of", "a of", "(a)", "no workload", `"a"`}
	pick := func() string { return names[r.IntN(len(names))] }
	c := Consumer{Applier: pick(), Namespace: pick(), ServiceAccount: pick()}
	for range r.IntN(3) {
		c.PullSecrets = append(c.PullSecrets, pick())
	}
	return c
}

func sameConsumer(a, b Consumer) bool {
	return a.Applier == b.Applier && a.Namespace == b.Namespace && a.ServiceAccount == b.ServiceAccount && slices.Equal(a.PullSecrets, b.PullSecrets)
}

func TestConsumerKeysAndIdentities(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys, ids := map[string]Consumer{}, map[string]Consumer{}
	for range 20000 {
		c := randomConsumer(r)
		k := consumerKey(c)
		declared, own := Provider{Address: "a", Origin: Declared}, Provider{Address: "pull secrets", Origin: PullSecrets, Applier: c.Applier}
		at := key{registry.ScopeRegistry, "gcr.io", "", k}
		for text, seen := range map[string]map[string]Consumer{k: keys, identity(declared, at, c): ids, identity(own, at, c): ids} {
			if other, ok := seen[text]; ok && !sameConsumer(c, other) {
				t.Fatalf("%#v and %#v are both %q", c, other, text)
			}
			seen[text] = c
		}
	}
}

// Nothing that was found for one consumer gets to another, in whatever order
// they come, and across rotation, refusals and renewals.
func TestConsumersNeverShare(t *testing.T) {
	for _, scope := range []registry.Scope{registry.ScopeRepository, registry.ScopeRegistry, registry.ScopeGlobal} {
		synctest.Test(t, func(t *testing.T) {
			c := &cloud{scope: scope, life: time.Minute, delay: time.Millisecond, consumers: true}
			shared := &cloud{scope: registry.ScopeGlobal}
			b := newBroker(t, Options{}, c.provider("secrets"), shared.provider("shared"))
			c.none = func(req registry.Request) bool { return req.Consumer.Namespace == "b" }
			var mu sync.Mutex
			owners := map[string]Consumer{}
			var wg sync.WaitGroup
			for seed := range uint64(20) {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(seed, 7))
					for range 200 {
						req := Request{Host: "gcr.io", Repository: fmt.Sprint("r", r.IntN(3)), Consumer: randomConsumer(r)}
						got := mustGet(t, b, req)
						if (got.Provider == "shared") != (req.Consumer.Namespace == "b") {
							t.Errorf("%q for %+v", got.ID, req.Consumer)
							return
						}
						if got.Provider == "secrets" {
							mu.Lock()
							if owner, ok := owners[got.Password.Reveal()]; ok && !sameConsumer(owner, req.Consumer) {
								t.Errorf("%+v got what is of %+v", req.Consumer, owner)
							}
							owners[got.Password.Reveal()] = req.Consumer
							mu.Unlock()
							if !strings.HasSuffix(got.Password.Reveal(), "-for-"+req.Consumer.Namespace) {
								t.Errorf("%+v got %s", req.Consumer, got.Password.Reveal())
							}
						}
						if r.IntN(20) == 0 {
							b.Reject(t.Context(), req, got)
						}
						time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
					}
				})
			}
			wg.Wait()
			for _, req := range shared.asked {
				if fmt.Sprint(req.Consumer) != fmt.Sprint(registry.Consumer{}) {
					t.Errorf("a provider that is not for consumers was told of %+v", req.Consumer)
				}
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	shop := Consumer{Applier: "applier.kubernetes.prod", Namespace: "shop", ServiceAccount: "default", PullSecrets: []string{"regcred", "hub"}}
	for _, tt := range []struct {
		origin    Origin
		scope     registry.Scope
		consumers bool
		consumer  Consumer
		want      string
	}{
		{Declared, registry.ScopeGlobal, false, shop, "registry_credential.ecr.prod"},
		{Declared, registry.ScopeRegistry, false, shop, "registry_credential.ecr.prod, registry.example.com"},
		{Declared, registry.ScopeRepository, false, shop, "registry_credential.ecr.prod, registry.example.com/team/web"},
		{Declared, registry.ScopeRegistry, true, shop, "registry_credential.ecr.prod for regcred,hub of shop/default (applier.kubernetes.prod), registry.example.com"},
		{Declared, registry.ScopeGlobal, true, Consumer{}, "registry_credential.ecr.prod for no workload, registry.example.com"},
		{PullSecrets, registry.ScopeRegistry, true, shop, "pull secrets regcred,hub of shop/default (applier.kubernetes.prod), registry.example.com"},
		{PullSecrets, registry.ScopeRepository, true, Consumer{Applier: "c", Namespace: "shop"}, "pull secrets of shop (c), registry.example.com/team/web"},
	} {
		c := &cloud{scope: tt.scope, consumers: tt.consumers}
		p := c.provider("registry_credential.ecr.prod")
		if p.Origin = tt.origin; p.Origin == PullSecrets {
			p.Applier = tt.consumer.Applier
		}
		b := newBroker(t, Options{}, p)
		req := image
		req.Consumer = tt.consumer
		first := mustGet(t, b, req)
		b.Reject(t.Context(), req, first)
		second := mustGet(t, b, req)
		if first.ID != tt.want || second.ID != tt.want || first.Password == second.Password {
			t.Errorf("%q, then %q, want %q", first.ID, second.ID, tt.want)
		}
	}
}
