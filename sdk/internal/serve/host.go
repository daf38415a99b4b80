package serve

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// services calls the host on behalf of one instance. Until the instance has an
// id it goes by its name.
type services struct {
	name    string
	id      atomic.Pointer[string]
	connect func(ctx context.Context) (grpc.ClientConnInterface, error) // nil: none
}

var _ host.Services = (*services)(nil)

func (s *Server) hostServices(req *pb.OpenRequest) *services {
	h := &services{name: req.GetName()}
	if req.GetHostServices() {
		h.connect = s.options.Host
	}
	return h
}

// opened tells the id of the instance.
func (h *services) opened(id string) { h.id.Store(&id) }

// client returns the host's service and who is calling.
func (h *services) client(ctx context.Context) (pb.HostClient, string, error) {
	if h.connect == nil {
		return nil, "", host.ErrUnavailable
	}
	conn, err := h.connect(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("reach the host's services: %w", err)
	}
	if id := h.id.Load(); id != nil {
		return pb.NewHostClient(conn), *id, nil
	}
	return pb.NewHostClient(conn), h.name, nil
}

func (h *services) Credential(ctx context.Context, req host.CredentialRequest) (host.Credential, error) {
	c, instance, err := h.client(ctx)
	if err != nil {
		return host.Credential{}, err
	}
	resp, err := c.Credential(ctx, &pb.HostCredentialRequest{Instance: instance, Host: req.Host, Repository: req.Repository})
	if err != nil {
		return host.Credential{}, wire.ErrorFromStatus(err)
	}
	return wire.HostCredentialFromProto(resp), nil
}

func (h *services) ReadSecret(ctx context.Context, ref host.SecretRef) (secret.Secret, error) {
	c, instance, err := h.client(ctx)
	if err != nil {
		return secret.Secret{}, err
	}
	req := wire.HostReadToProto(ref)
	req.Instance = instance
	resp, err := c.ReadSecret(ctx, req)
	if err != nil {
		return secret.Secret{}, wire.ErrorFromStatus(err)
	}
	return wire.SecretFromProto(resp.GetValue()), nil
}

func (h *services) WriteSecret(ctx context.Context, ref host.SecretRef, value secret.Secret) error {
	c, instance, err := h.client(ctx)
	if err != nil {
		return err
	}
	req := wire.HostWriteToProto(ref, value)
	req.Instance = instance
	_, err = c.WriteSecret(ctx, req)
	return wire.ErrorFromStatus(err)
}

func (h *services) Event(ctx context.Context, e host.Event) error {
	c, instance, err := h.client(ctx)
	if err != nil {
		return err
	}
	req := wire.HostEventToProto(e)
	req.Instance = instance
	_, err = c.Event(ctx, req)
	return wire.ErrorFromStatus(err)
}
