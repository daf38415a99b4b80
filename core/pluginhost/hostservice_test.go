//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// vault answers the host services from memory and remembers who asked.
type vault struct {
	mu      sync.Mutex
	callers []Caller
	events  []host.Event
}

func (v *vault) services(c Caller) host.Services {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.callers = append(v.callers, c)
	return v
}

func (v *vault) Credential(context.Context, host.CredentialRequest) (host.Credential, error) {
	return host.Credential{}, host.ErrAnonymous
}

func (v *vault) ReadSecret(_ context.Context, ref host.SecretRef) (secret.Secret, error) {
	if ref.Name != "key" {
		return secret.Secret{}, host.ErrNoSecret
	}
	return secret.New("value of key"), nil
}

func (v *vault) WriteSecret(context.Context, host.SecretRef, secret.Secret) error { return nil }

func (v *vault) Event(_ context.Context, e host.Event) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, e)
	return nil
}

func hostWithVault(t *testing.T) (*testHost, *vault) {
	v := &vault{}
	return newTestHost(t, func(o *Options, _ *timing) { o.Services = v.services }, "test"), v
}

func TestPitfall09And11HostServicesOverMutualTLS(t *testing.T) {
	t.Parallel()
	h, v := hostWithVault(t)
	i := h.open(t, "test", "a", "do", "secret")
	if got := resolve(t, i); got != "12" {
		t.Errorf("the plugin read a secret of %s bytes, want 12", got)
	}
	h.log.wait(t, "read (redacted)")
	killProcess(t, h)
	resolve(t, i) // from the next process, too
	want := Caller{Plugin: "test", Kind: "source", Type: "test", Name: "source.test.a"}
	if diff := cmp.Diff([]Caller{want, want}, v.callers); diff != "" {
		t.Errorf("callers (-want +got):\n%s", diff)
	}
}

func TestHostServicesDuringOpen(t *testing.T) {
	t.Parallel()
	h, v := hostWithVault(t)
	h.open(t, "test", "a", "do", "ask in open")
	if len(v.callers) != 1 || v.callers[0].Name != "source.test.a" {
		t.Errorf("callers are %v", v.callers)
	}
}

func TestEventsAreScrubbed(t *testing.T) {
	t.Parallel()
	h, v := hostWithVault(t)
	resolve(t, h.open(t, "test", "a", "do", "event", "token", "sesame-open"))
	if len(v.events) != 1 || v.events[0].Message != "with (redacted)" || v.events[0].Labels["label"] != "(redacted)" {
		t.Errorf("events are %v", v.events)
	}
}

func TestHostServicesAreAbsentWithoutServices(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	if err := resolveErr(t, h.open(t, "test", "a", "do", "secret")); !errors.Is(err, host.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestHostAuthorisesByProcessAndInstance(t *testing.T) {
	t.Parallel()
	h, v := hostWithVault(t)
	first := h.open(t, "test", "a")
	second := h.open(t, "test", "b")
	calls := hostCalls{first.session}
	for id, allowed := range map[string]bool{first.id: true, second.id: true, "source.test.a": true, "source.test.c": false, "": false} {
		_, err := calls.ReadSecret(t.Context(), id, host.SecretRef{Name: "key"})
		if allowed != (err == nil) || !allowed && !errors.Is(err, host.ErrDenied) {
			t.Errorf("instance %q: %v", id, err)
		}
	}
	for _, c := range v.callers {
		if !strings.HasPrefix(c.Name, "source.test.") {
			t.Errorf("caller %+v", c)
		}
	}
	replaced, id := h.open(t, "test", "b"), second.id
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Open(t.Context(), "source", "test", "source.test.b", config(t, "do", "refuse")); err == nil {
		t.Error("a configuration that the plugin refuses was opened")
	}
	if err := calls.Event(t.Context(), replaced.name, host.Event{}); err != nil {
		t.Errorf("others of the same name take the rights of an open instance: %v", err)
	}
	if err := calls.Event(t.Context(), id, host.Event{}); !errors.Is(err, host.ErrDenied) {
		t.Errorf("a closed instance may call: %v", err)
	}
	if _, err := calls.Credential(t.Context(), id, host.CredentialRequest{}); !errors.Is(err, host.ErrDenied) {
		t.Errorf("a closed instance may call: %v", err)
	}
	if err := calls.WriteSecret(t.Context(), id, host.SecretRef{}, secret.New("x")); !errors.Is(err, host.ErrDenied) {
		t.Errorf("a closed instance may call: %v", err)
	}
}

func TestEverythingIsReopenedAfterACrash(t *testing.T) {
	t.Parallel()
	opened := make(chan Caller, 10)
	h := newTestHost(t, func(o *Options, _ *timing) {
		v := &vault{}
		o.Services = func(c Caller) host.Services { opened <- c; return v }
	}, "test")
	for _, name := range []string{"a", "b", "c"} {
		h.open(t, "test", name, "do", "ask in open")
		<-opened
	}
	killProcess(t, h)
	again := map[string]bool{}
	for range 3 { // nobody calls: the host does it of its own accord
		again[(<-opened).Name] = true
	}
	if len(again) != 3 {
		t.Errorf("reopened %v", again)
	}
}
