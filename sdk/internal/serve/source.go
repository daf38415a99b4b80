package serve

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// sourceServer serves the instances that are sources.
type sourceServer struct {
	pb.UnimplementedSourceServer
	instances *instances
}

func (s *sourceServer) Resolve(ctx context.Context, req *pb.ResolveRequest) (*pb.ResolveResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, src source.Source) (*pb.ResolveResponse, error) {
		rev, err := src.Resolve(ctx, wire.RevisionFromProto(req.GetPrevious()))
		return &pb.ResolveResponse{Revision: wire.RevisionToProto(rev)}, err
	})
}

func (s *sourceServer) Fetch(ctx context.Context, req *pb.FetchRequest) (*pb.FetchResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, src source.Source) (*pb.FetchResponse, error) {
		return &pb.FetchResponse{}, src.Fetch(ctx, wire.RevisionFromProto(req.GetRevision()), req.GetDir())
	})
}

func (s *sourceServer) Watch(req *pb.SourceWatchRequest, out grpc.ServerStreamingServer[pb.SourceWatchResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, w source.Watcher, e *emitter[pb.SourceWatchResponse]) (*pb.SourceWatchResponse, error) {
		err := w.Watch(ctx, func(rev source.Revision) {
			e.emit(&pb.SourceWatchResponse{Event: &pb.SourceWatchResponse_Revision{Revision: wire.RevisionToProto(rev)}}, nil)
		})
		return &pb.SourceWatchResponse{Event: &pb.SourceWatchResponse_Result{Result: &pb.SourceWatchResult{}}}, err
	})
}

func (s *sourceServer) Log(req *pb.LogRequest, out grpc.ServerStreamingServer[pb.LogResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, l source.Logger, e *emitter[pb.LogResponse]) (*pb.LogResponse, error) {
		err := l.Log(ctx, wire.RevisionFromProto(req.GetFrom()), wire.RevisionFromProto(req.GetTo()), func(entry source.Entry) {
			e.emit(&pb.LogResponse{Event: &pb.LogResponse_Entry{Entry: wire.EntryToProto(entry)}}, nil)
		})
		return &pb.LogResponse{Event: &pb.LogResponse_Result{Result: &pb.LogResult{}}}, err
	})
}

func (s *sourceServer) Commit(ctx context.Context, req *pb.CommitRequest) (*pb.CommitResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, c source.Committer) (*pb.CommitResponse, error) {
		rev, err := c.Commit(ctx, wire.ChangeFromProto(req))
		return &pb.CommitResponse{Revision: wire.RevisionToProto(rev)}, err
	})
}

func (s *sourceServer) Branch(ctx context.Context, req *pb.BranchRequest) (*pb.BranchResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, b source.Brancher) (*pb.BranchResponse, error) {
		rev, err := b.Branch(ctx, req.GetName())
		return &pb.BranchResponse{Revision: wire.RevisionToProto(rev)}, err
	})
}

func (s *sourceServer) Mark(ctx context.Context, req *pb.MarkRequest) (*pb.MarkResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, m source.Marker) (*pb.MarkResponse, error) {
		return &pb.MarkResponse{}, m.Mark(ctx, req.GetName(), wire.RevisionFromProto(req.GetRevision()), req.GetMessage())
	})
}

func (s *sourceServer) Verify(ctx context.Context, req *pb.VerifyRequest) (*pb.VerifyResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, v source.Verifier) (*pb.VerifyResponse, error) {
		identities, err := v.Verify(ctx, wire.RevisionFromProto(req.GetRevision()))
		return &pb.VerifyResponse{Identities: identities}, err
	})
}

func (s *sourceServer) Identity(ctx context.Context, req *pb.IdentityRequest) (*pb.IdentityResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, i source.Identifier) (*pb.IdentityResponse, error) {
		identity, err := i.Identity(ctx, req.GetRegenerate())
		return &pb.IdentityResponse{Identity: identity}, err
	})
}
