package serve

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// services calls the host on behalf of one instance, which goes by its name:
// unlike its id, the host knows that from the start.
type services struct {
	name    string
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

func (h *services) client(ctx context.Context) (pb.HostClient, error) {
	if h.connect == nil {
		return nil, host.ErrUnavailable
	}
	conn, err := h.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach the host's services: %w", err)
	}
	return pb.NewHostClient(conn), nil
}

func (h *services) Credential(ctx context.Context, req host.CredentialRequest) (host.Credential, error) {
	c, err := h.client(ctx)
	if err != nil {
		return host.Credential{}, err
	}
	resp, err := c.Credential(ctx, &pb.HostCredentialRequest{
		Instance: h.name, Host: req.Host, Repository: req.Repository, Refused: wire.SecretToProto(req.Refused),
	})
	if err != nil {
		return host.Credential{}, wire.ErrorFromStatus(err)
	}
	return wire.HostCredentialFromProto(resp), nil
}

func (h *services) ReadSecret(ctx context.Context, ref host.SecretRef) (secret.Secret, error) {
	c, err := h.client(ctx)
	if err != nil {
		return secret.Secret{}, err
	}
	req := wire.HostReadToProto(ref)
	req.Instance = h.name
	resp, err := c.ReadSecret(ctx, req)
	if err != nil {
		return secret.Secret{}, wire.ErrorFromStatus(err)
	}
	return wire.SecretFromProto(resp.GetValue()), nil
}

func (h *services) WriteSecret(ctx context.Context, ref host.SecretRef, value secret.Secret) error {
	c, err := h.client(ctx)
	if err != nil {
		return err
	}
	req := wire.HostWriteToProto(ref, value)
	req.Instance = h.name
	_, err = c.WriteSecret(ctx, req)
	return wire.ErrorFromStatus(err)
}

func (h *services) Event(ctx context.Context, e host.Event) error {
	c, err := h.client(ctx)
	if err != nil {
		return err
	}
	req := wire.HostEventToProto(e)
	req.Instance = h.name
	_, err = c.Event(ctx, req)
	return wire.ErrorFromStatus(err)
}
