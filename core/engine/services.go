package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// services is what the engine does for one plugin instance. The plugin host
// has made sure of who calls.
type services struct {
	engine *Engine
	caller pluginhost.Caller
}

var _ host.Services = (*services)(nil)

// fetchers are the kinds of plugins that fetch from registries what the daemon
// deploys. An applier fetches nothing, and a credential plugin that asked would
// wait for itself.
var fetchers = []string{"source", "helm"}

// Credential asks the broker, on behalf of the daemon: pull secrets of
// workloads are not for plugins.
func (s *services) Credential(ctx context.Context, req host.CredentialRequest) (host.Credential, error) {
	if !slices.Contains(fetchers, s.caller.Kind) {
		return host.Credential{}, fmt.Errorf("%s asks for a credential of %s: only plugins that fetch get one: %w", s.caller.Name, req.Host, host.ErrDenied)
	}
	want := credentials.Request{Host: req.Host, Repository: req.Repository}
	c, err := s.engine.broker.Credential(ctx, want)
	if err == nil && !req.Refused.IsZero() && (c.Password == req.Refused || c.IdentityToken == req.Refused) { // or it is another by now
		s.engine.broker.Reject(ctx, want, c)
		c, err = s.engine.broker.Credential(ctx, want)
	}
	switch {
	case err != nil:
		return host.Credential{}, fmt.Errorf("%s asks for a credential of %s: %w", s.caller.Name, req.Host, err)
	case c.ID == "":
		return host.Credential{}, host.ErrAnonymous
	}
	return host.Credential{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, ExpiresAt: c.ExpiresAt}, nil
}

// ReadSecret reads a secret that an applier keeps in its target.
func (s *services) ReadSecret(ctx context.Context, ref host.SecretRef) (secret.Secret, error) {
	store, err := s.store(ctx, ref)
	if err != nil {
		return secret.Secret{}, err
	}
	return store.ReadSecret(ctx, applier.SecretRef{Namespace: ref.Namespace, Name: ref.Name, Key: ref.Key})
}

// WriteSecret writes a secret to an applier's target.
func (s *services) WriteSecret(ctx context.Context, ref host.SecretRef, value secret.Secret) error {
	store, err := s.store(ctx, ref)
	if err != nil {
		return err
	}
	return store.WriteSecret(ctx, applier.SecretRef{Namespace: ref.Namespace, Name: ref.Name, Key: ref.Key}, value)
}

// Event publishes what a plugin tells about one of its instances.
func (s *services) Event(_ context.Context, ev host.Event) error {
	severity := event.Info
	if ev.Warning {
		severity = event.Warning
	}
	s.engine.publishEvent(event.Event{
		Node: s.caller.Name, Severity: severity, Reason: ev.Reason, Message: ev.Message, Attrs: maps.Clone(ev.Labels),
	})
	return nil
}

// store returns the secret store of the applier that ref names, the only one
// if it names none.
func (s *services) store(ctx context.Context, ref host.SecretRef) (applier.SecretStore, error) {
	in, err := s.engine.secretApplier(ctx, ref.Applier)
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	store, ok := in.Applier().(applier.SecretStore)
	if !ok || !in.Has(applier.CanKeepSecrets) {
		return nil, fmt.Errorf("secret %s/%s: this applier keeps no secrets: %w", ref.Namespace, ref.Name, host.ErrUnavailable)
	}
	return store, nil
}

// secretApplier returns the open applier with the address, the only one there
// is if address is empty. It waits for one that is just being opened: a source
// that needs a key begins at the same time.
func (e *Engine) secretApplier(ctx context.Context, address string) (instance, error) {
	for {
		e.mu.Lock()
		n, err := e.findApplier(address)
		var in instance
		opening := false
		if err == nil {
			in, opening = n.handle, n.busy()
			err = fmt.Errorf("%s is not open (%s): %w", n.id, n.view.Reason, host.ErrUnavailable)
		}
		changed := e.changed
		e.mu.Unlock()
		switch {
		case in != nil:
			return in, nil
		case !opening:
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

// findApplier finds an applier's node. e.mu is held.
func (e *Engine) findApplier(address string) (*node, error) {
	var found *node
	for id, n := range e.nodes {
		switch {
		case !n.isApplier() || address != "" && id != address:
		case found != nil:
			return nil, fmt.Errorf("there are several appliers: name the one that keeps it: %w", host.ErrDenied)
		default:
			found = n
		}
	}
	if found == nil {
		return nil, fmt.Errorf("there is no applier %q: %w", address, host.ErrUnavailable)
	}
	return found, nil
}

// publishEvent publishes an event that is not of the engine's own making.
func (e *Engine) publishEvent(ev event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.alive {
		e.bus.Publish(ev)
	}
}
