package serve

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// registryServer serves the instances that are credential providers.
type registryServer struct {
	pb.UnimplementedRegistryServer
	instances *instances
}

func (s *registryServer) Credential(ctx context.Context, req *pb.CredentialRequest) (*pb.CredentialResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, p registry.Provider) (*pb.CredentialResponse, error) {
		c, err := p.Credential(ctx, wire.RequestFromProto(req))
		if err != nil {
			return nil, err
		}
		return wire.CredentialToProto(c)
	})
}

func (s *registryServer) Tags(req *pb.TagsRequest, out grpc.ServerStreamingServer[pb.TagsResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, l registry.Lister, e *emitter[pb.TagsResponse]) (*pb.TagsResponse, error) {
		err := l.Tags(ctx, wire.RequestFromProto(req), func(t registry.Tag) {
			e.emit(&pb.TagsResponse{Event: &pb.TagsResponse_Tag{Tag: wire.TagToProto(t)}}, nil)
		})
		return &pb.TagsResponse{Event: &pb.TagsResponse_Result{Result: &pb.TagsResult{}}}, err
	})
}
