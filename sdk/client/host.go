package client

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// HostServices are the host's services as a host implements them, for one
// plugin process. instance is who the plugin says is asking, by the Name of an
// OpenRequest. An implementation checks that the process has such an instance
// open, or is opening it.
type HostServices interface {
	Credential(ctx context.Context, instance string, req host.CredentialRequest) (host.Credential, error)
	ReadSecret(ctx context.Context, instance string, ref host.SecretRef) (secret.Secret, error)
	WriteSecret(ctx context.Context, instance string, ref host.SecretRef, value secret.Secret) error
	Event(ctx context.Context, instance string, e host.Event) error
}

// RegisterHost returns what handshake.HostSet needs to serve h to a process.
// Errors reach the plugin as they are, see package host for those that it
// knows.
func RegisterHost(h HostServices) func(*grpc.Server) {
	return func(g *grpc.Server) { pb.RegisterHostServer(g, &hostServer{services: h}) }
}

type hostServer struct {
	pb.UnimplementedHostServer
	services HostServices
}

func (s *hostServer) Credential(ctx context.Context, req *pb.HostCredentialRequest) (*pb.HostCredentialResponse, error) {
	c, err := s.services.Credential(ctx, req.GetInstance(), host.CredentialRequest{
		Host: req.GetHost(), Repository: req.GetRepository(), Refused: wire.SecretFromProto(req.GetRefused()),
	})
	if err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return wire.HostCredentialToProto(c), nil
}

func (s *hostServer) ReadSecret(ctx context.Context, req *pb.HostReadSecretRequest) (*pb.HostReadSecretResponse, error) {
	value, err := s.services.ReadSecret(ctx, req.GetInstance(), wire.HostReadFromProto(req))
	if err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return &pb.HostReadSecretResponse{Value: wire.SecretToProto(value)}, nil
}

func (s *hostServer) WriteSecret(ctx context.Context, req *pb.HostWriteSecretRequest) (*pb.HostWriteSecretResponse, error) {
	ref, value := wire.HostWriteFromProto(req)
	if err := s.services.WriteSecret(ctx, req.GetInstance(), ref, value); err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return &pb.HostWriteSecretResponse{}, nil
}

func (s *hostServer) Event(ctx context.Context, req *pb.HostEventRequest) (*pb.HostEventResponse, error) {
	if err := s.services.Event(ctx, req.GetInstance(), wire.HostEventFromProto(req)); err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return &pb.HostEventResponse{}, nil
}
