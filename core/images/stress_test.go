package images_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// vault gives each namespace a user of its own, whose password changes. The
// registry takes the last two.
type vault struct {
	registry *registrytest.Registry

	mu      sync.Mutex
	version int
}

var tenants = []string{"blue", "green", "red"}

// stranger is a tenant who asks for what is another's. That its password is
// refused there, and stays the same, is its own affair.
const stranger = "grey"

func (v *vault) password(tenant string, version int) string {
	return fmt.Sprintf("planted-%s-%d", tenant, version)
}

// rotate makes the registry take the next passwords before they are given out.
func (v *vault) rotate() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.version++
	var users []registrytest.User
	for _, tenant := range append(tenants, stranger) {
		for _, version := range []int{v.version - 1, v.version} {
			users = append(users, registrytest.User{
				Name: fmt.Sprintf("%s-%d", tenant, version), Password: v.password(tenant, version), Repositories: []string{tenant + "/*", "shared/*"},
			})
		}
	}
	v.registry.SetUsers(users...)
}

func (v *vault) Credential(_ context.Context, req registry.Request) (registry.Credential, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	tenant := req.Consumer.Namespace
	return registry.Credential{
		Username: fmt.Sprintf("%s-%d", tenant, v.version), Password: secret.New(v.password(tenant, v.version)),
		Scope: registry.ScopeRegistry, ExpiresAt: time.Now().Add(2 * time.Second),
	}, nil
}

func (*vault) Tags(context.Context, registry.Request, func(registry.Tag)) error {
	return registry.ErrAnonymous
}
func (*vault) Has(capability string) bool  { return capability == registry.ForConsumers }
func (*vault) Close(context.Context) error { return nil }

// TestStress: the broker, the client and the scanner together, with passwords
// that change, tokens that expire, and reloads. No scan fails, nobody sees what
// is another's, and no password is in anything that is told or written.
func TestStress(t *testing.T) {
	t.Parallel() // most of it is waiting for the limiter
	reg := registrytest.Start(t, registrytest.Options{Auth: "token", TokenLife: time.Second})
	v := &vault{registry: reg}
	v.rotate()
	chain := func(key string) credentials.Provider {
		return credentials.Provider{
			Address: "pull secrets of " + cluster, Origin: credentials.PullSecrets, Applier: cluster, Key: key,
			Open: func(context.Context) (credentials.Handle, error) { return v, nil },
		}
	}
	r := start(t, reg, images.Settings{}, chain("0"))
	reg.PushAll("shared/app", builds(5))
	var all []images.Target
	for i, tenant := range tenants {
		reg.PushAll(tenant+"/app", builds(3+i))
		all = append(all, r.target(tenant, tenant+"/app", "1.0.0", "glob:*"), r.target(tenant, "shared/app", "1.0.0", "semver:*"))
	}
	others := r.target(stranger, "green/app", "1.0.0", "glob:*")

	var told strings.Builder // of the one actor that tells
	var actors sync.WaitGroup
	stop := make(chan struct{})
	forever := func(act func(i int)) {
		actors.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					act(i)
				}
			}
		})
	}
	for range 3 {
		forever(func(int) {
			for _, res := range r.Scan(t.Context(), all, nil) {
				if res.Err != nil {
					t.Errorf("%s: %v", res.Repository, res.Err)
				}
			}
		})
	}
	forever(func(int) {
		for _, res := range r.Scan(t.Context(), []images.Target{others}, nil) {
			if res.Err == nil {
				t.Errorf("a stranger lists %s", res.Repository)
			}
			fmt.Fprintln(&told, res.Err)
		}
		x := r.broker.Explain(t.Context(), credentials.Request{Host: "registry.test", Repository: "shared/app", Consumer: all[0].Consumer})
		for _, part := range []any{x, r.broker.List(), r.broker.Metrics(), r.Status(), r.Metrics(), r.view(all[0])} {
			data, err := json.Marshal(part)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&told, "%s\n%+v\n", data, part)
		}
	})
	forever(func(i int) {
		r.SetTargets(all[:i%len(all)])
		r.Again("*/shared/*")
	})
	for i := range 6 {
		v.rotate()
		// Two scans join whatever began with the password before the last, so
		// that it has ended when that is no longer taken.
		for range 2 {
			r.Scan(t.Context(), all, nil)
		}
		if i%3 == 2 {
			r.broker.Configure([]credentials.Provider{chain(fmt.Sprint(i))})
		}
	}
	close(stop)
	actors.Wait()

	for i, tenant := range tenants {
		if got := len(r.view(all[2*i]).Tags); got != 3+i {
			t.Errorf("%s has %d tags, want %d", tenant, got, 3+i)
		}
	}
	if got := r.view(others); len(got.Tags) > 0 {
		t.Errorf("a stranger sees %v", names(got.Tags))
	}
	r.close()
	r.close = func() {}
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&told, "%s", data)
	}
	if text := told.String(); strings.Contains(text, "planted-") {
		at := strings.Index(text, "planted-")
		t.Errorf("a password was told: %.200q", text[max(0, at-100):])
	}
}
