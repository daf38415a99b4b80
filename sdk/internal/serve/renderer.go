package serve

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// rendererServer serves the instances that are renderers.
type rendererServer struct {
	pb.UnimplementedRendererServer
	instances *instances
}

func (s *rendererServer) Render(ctx context.Context, req *pb.RenderRequest) (*pb.RenderResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, r renderer.Renderer) (*pb.RenderResponse, error) {
		res, err := r.Render(ctx, wire.RenderFromProto(req))
		return wire.RenderResultToProto(res), err
	})
}

func (s *rendererServer) Update(ctx context.Context, req *pb.UpdateRequest) (*pb.UpdateResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, u renderer.Updater) (*pb.UpdateResponse, error) {
		res, err := u.Update(ctx, wire.UpdateFromProto(req))
		return wire.UpdateResultToProto(res), err
	})
}
