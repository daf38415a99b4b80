package client

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Registry is an instance of the kind "registry_credential".
type Registry struct{ caller Caller }

var _ interface {
	registry.Provider
	registry.Lister
} = (*Registry)(nil)

// NewRegistry uses c to call the instance.
func NewRegistry(c Caller) *Registry { return &Registry{c} }

// Credential implements registry.Provider.
func (r *Registry) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	m := Method{Name: "registry.Credential", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, r.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.CredentialResponse, error) {
		p := wire.RequestToProto(req)
		p.Instance = instance
		return pb.NewRegistryClient(conn).Credential(ctx, p)
	})
	if err != nil {
		return registry.Credential{}, err
	}
	return wire.CredentialFromProto(resp)
}

// Tags implements registry.Lister.
func (r *Registry) Tags(ctx context.Context, req registry.Request, emit func(registry.Tag)) error {
	return stream(ctx, r.caller, Method{Name: "registry.Tags", Timeout: 5 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.TagsResponse], error) {
			p := wire.TagsToProto(req)
			p.Instance = instance
			return pb.NewRegistryClient(conn).Tags(ctx, p)
		},
		func(msg *pb.TagsResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.TagsResponse_Tag); ok {
				emit(wire.TagFromProto(e.Tag))
			}
			return msg.GetResult() != nil, nil
		})
}
