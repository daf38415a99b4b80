package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestSecretsThroughTheApplier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.breakOpen(kube, errors.New("no kubeconfig"))
		e := w.start(shop)
		expect(t, e, kube, Failed, "no kubeconfig")
		s := &services{engine: e, caller: pluginhost.Caller{Kind: "source", Name: "source.memory.shop"}}
		ref := host.SecretRef{Namespace: "flux", Name: "key", Key: "identity"}
		if _, err := s.ReadSecret(t.Context(), ref); !errors.Is(err, host.ErrUnavailable) {
			t.Errorf("with an applier that does not open: %v", err)
		}
		w.breakOpen(kube, nil)
		sleepFor(t, time.Minute)
		if _, err := s.ReadSecret(t.Context(), ref); !errors.Is(err, host.ErrNoSecret) {
			t.Errorf("a secret that is not there: %v", err)
		}
		if err := s.WriteSecret(t.Context(), ref, secret.New("hunter2")); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadSecret(t.Context(), ref); err != nil || got.Reveal() != "hunter2" {
			t.Errorf("read back: %v, %v", got, err)
		}
		ref.Applier = "applier.kubernetes.other"
		if _, err := s.ReadSecret(t.Context(), ref); !errors.Is(err, host.ErrUnavailable) {
			t.Errorf("an applier that is not declared: %v", err)
		}
		if _, err := s.Credential(t.Context(), host.CredentialRequest{Host: "ghcr.io", Repository: "acme/web"}); !errors.Is(err, host.ErrAnonymous) {
			t.Errorf("credential: %v", err)
		}
	})
}

// Plugins that fetch get what the daemon has, and never a workload's pull secret.
func TestCredentialsForPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.passwords = map[string]string{
			"pull secrets of applier.kubernetes.default quay.example.com": "1",
			"registry_credential.memory.all quay.example.com":             "2",
		}
		e := w.startRunning(withCredentials)
		for kind, want := range map[string]string{"source": "2", "helm": "2", "applier": "", "registry_credential": "", "": ""} {
			s := &services{engine: e, caller: pluginhost.Caller{Kind: kind, Name: kind + ".memory.shop"}}
			c, err := s.Credential(t.Context(), host.CredentialRequest{Host: "quay.example.com", Repository: "acme/chart"})
			if c.Password.Reveal() != want || (want == "") != errors.Is(err, host.ErrDenied) {
				t.Errorf("%q got %q, %v", kind, c.Password.Reveal(), err)
			}
		}
	})
}

func TestEventsOfPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e := w.start(shop)
		s := &services{engine: e, caller: pluginhost.Caller{Name: "source.memory.shop"}}
		if err := s.Event(t.Context(), host.Event{Reason: "KeyGenerated", Message: "a key was made", Warning: true}); err != nil {
			t.Fatal(err)
		}
		reasons := eventReasons(t, e, "source.memory.shop")
		if len(reasons) == 0 || reasons[len(reasons)-1] != "KeyGenerated" && reasons[0] != "KeyGenerated" {
			t.Errorf("events: %v", reasons)
		}
	})
}

// TestRefusedCredential: what a registry has refused is asked for anew where it
// came from, once; and nothing happens to one that is another by now.
func TestRefusedCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const account = "registry_credential.memory.all quay.example.com"
		w.passwords[account] = "old"
		e := w.startRunning(withCredentials, deployment("shop", "web", "quay.example.com/acme/web:1", nil))
		s := &services{engine: e, caller: pluginhost.Caller{Kind: "helm", Name: "helm.helm.prod"}}
		want := func(password, refused string) {
			t.Helper()
			req := host.CredentialRequest{Host: "quay.example.com", Repository: "charts/web", Refused: secret.New(refused)}
			if c, err := s.Credential(t.Context(), req); err != nil || c.Password.Reveal() != password {
				t.Errorf("with %q refused: %q, %v; want %q", refused, c.Password.Reveal(), err, password)
			}
		}
		want("old", "")
		w.mu.Lock()
		w.passwords[account] = "new"
		w.mu.Unlock()
		want("old", "") // nobody has complained
		want("old", "another")
		want("new", "old")
		want("new", "old") // a second chart that had the old one
	})
}
