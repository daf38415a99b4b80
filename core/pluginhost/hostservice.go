package pluginhost

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Services returns what the host does for one instance. It is called for each
// request, with a Caller that the host vouches for: what the plugin says about
// itself has no part in it. Secrets that pass through are scrubbed from then on.
type Services func(Caller) host.Services

// Caller is an instance that asks the host for something.
type Caller struct {
	Plugin string
	Kind   string
	Type   string
	Name   string // address in the configuration
}

// hostCalls serves the calls of one process.
type hostCalls struct{ s *session }

var _ client.HostServices = hostCalls{}

// hostServices registers the services that the session's process may call.
func (s *session) hostServices() func(*grpc.Server) {
	if s.p.h.o.Services == nil {
		return nil
	}
	return client.RegisterHost(hostCalls{s})
}

// on authorises a call on behalf of an instance: it must be open in the very
// process that asks, or just being opened there. It goes by its id or its name.
func (c hostCalls) on(id string) (host.Services, error) {
	i, ok := c.s.instance(id)
	if !ok {
		c.s.log.Warn("refused a call of the plugin for an instance that is not its own", "instance", fmt.Sprintf("%.80q", id))
		return nil, fmt.Errorf("instance %.80q is not open in this process: %w", id, host.ErrDenied)
	}
	return c.s.p.h.o.Services(Caller{Plugin: c.s.p.c.name, Kind: i.kind, Type: i.typ, Name: i.name}), nil
}

// Credential implements client.HostServices.
func (c hostCalls) Credential(ctx context.Context, instance string, req host.CredentialRequest) (host.Credential, error) {
	services, err := c.on(instance)
	if err != nil {
		return host.Credential{}, err
	}
	cred, err := services.Credential(ctx, req)
	c.s.p.h.scrub.AddPassing(cred.Password.Reveal(), cred.IdentityToken.Reveal())
	return cred, err
}

// ReadSecret implements client.HostServices.
func (c hostCalls) ReadSecret(ctx context.Context, instance string, ref host.SecretRef) (secret.Secret, error) {
	services, err := c.on(instance)
	if err != nil {
		return secret.Secret{}, err
	}
	value, err := services.ReadSecret(ctx, ref)
	c.s.p.h.scrub.Add(value.Reveal())
	return value, err
}

// WriteSecret implements client.HostServices.
func (c hostCalls) WriteSecret(ctx context.Context, instance string, ref host.SecretRef, value secret.Secret) error {
	services, err := c.on(instance)
	if err != nil {
		return err
	}
	c.s.p.h.scrub.Add(value.Reveal())
	return services.WriteSecret(ctx, ref, value)
}

// Event implements client.HostServices.
func (c hostCalls) Event(ctx context.Context, instance string, e host.Event) error {
	services, err := c.on(instance)
	if err != nil {
		return err
	}
	scrub := c.s.p.h.scrub
	labels := make(map[string]string, len(e.Labels))
	for name, value := range e.Labels {
		labels[scrub.Scrub(name)] = scrub.Scrub(value)
	}
	e.Reason, e.Message, e.Labels = scrub.Scrub(e.Reason), scrub.Scrub(e.Message), labels
	return services.Event(ctx, e)
}
