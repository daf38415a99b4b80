package sdktest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Host is a host that keeps everything in memory. It refuses instances that
// are not open, as a real one does. It is safe for concurrent use.
type Host struct {
	trusting bool // answers every instance: the conformance suite opens its own

	mu          sync.Mutex
	known       map[string]bool // names of instances
	secrets     map[host.SecretRef]secret.Secret
	credentials map[string]host.Credential
	events      []host.Event
}

var _ client.HostServices = (*Host)(nil)

// NewHost returns a host without secrets and credentials.
func NewHost() *Host {
	return &Host{
		known:       map[string]bool{},
		secrets:     map[host.SecretRef]secret.Secret{},
		credentials: map[string]host.Credential{},
	}
}

// SetSecret stores a value for the plugin to read.
func (h *Host) SetSecret(ref host.SecretRef, value secret.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets[ref] = value
}

// Secret returns what is stored under ref, for example by the plugin.
func (h *Host) Secret(ref host.SecretRef) (value secret.Secret, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value, ok = h.secrets[ref]
	return value, ok
}

// SetCredential stores the credential for a registry host.
func (h *Host) SetCredential(registry string, c host.Credential) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.credentials[registry] = c
}

// Events returns what the plugin has told so far.
func (h *Host) Events() []host.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

// Credential implements client.HostServices.
func (h *Host) Credential(_ context.Context, instance string, req host.CredentialRequest) (host.Credential, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.allow(instance); err != nil {
		return host.Credential{}, err
	}
	c, ok := h.credentials[req.Host]
	if refused := req.Refused; !ok || !refused.IsZero() && (c.Password == refused || c.IdentityToken == refused) {
		return host.Credential{}, host.ErrAnonymous
	}
	return c, nil
}

// ReadSecret implements client.HostServices.
func (h *Host) ReadSecret(_ context.Context, instance string, ref host.SecretRef) (secret.Secret, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.allow(instance); err != nil {
		return secret.Secret{}, err
	}
	value, ok := h.secrets[ref]
	if !ok {
		return secret.Secret{}, fmt.Errorf("%s: %w", ref.Name, host.ErrNoSecret)
	}
	return value, nil
}

// WriteSecret implements client.HostServices.
func (h *Host) WriteSecret(_ context.Context, instance string, ref host.SecretRef, value secret.Secret) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.allow(instance); err != nil {
		return err
	}
	h.secrets[ref] = value
	return nil
}

// Event implements client.HostServices.
func (h *Host) Event(_ context.Context, instance string, e host.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.allow(instance); err != nil {
		return err
	}
	h.events = append(h.events, e)
	return nil
}

// opening lets the instance of that name call.
func (h *Host) opening(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[name] = true
}

func (h *Host) allow(instance string) error {
	if !h.trusting && !h.known[instance] {
		return fmt.Errorf("instance %q: %w", instance, host.ErrDenied)
	}
	return nil
}
