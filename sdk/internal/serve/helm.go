package serve

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// helmServer serves the instances that are helms.
type helmServer struct {
	pb.UnimplementedHelmServer
	instances *instances
}

func (s *helmServer) Resolve(ctx context.Context, req *pb.HelmResolveRequest) (*pb.HelmResolveResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, h helm.Helm) (*pb.HelmResolveResponse, error) {
		chart, err := h.Resolve(ctx, wire.ChartRefFromProto(req.GetRef()))
		return &pb.HelmResolveResponse{Chart: wire.ChartToProto(chart)}, err
	})
}

func (s *helmServer) Pull(ctx context.Context, req *pb.PullRequest) (*pb.PullResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, h helm.Helm) (*pb.PullResponse, error) {
		return &pb.PullResponse{}, h.Pull(ctx, wire.ChartFromProto(req.GetChart()), req.GetDir())
	})
}

func (s *helmServer) Template(ctx context.Context, req *pb.TemplateRequest) (*pb.TemplateResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, h helm.Helm) (*pb.TemplateResponse, error) {
		rendered, err := h.Template(ctx, wire.ReleaseFromProto(req.GetRelease()), req.GetOut())
		return &pb.TemplateResponse{Rendered: wire.RenderedToProto(rendered)}, err
	})
}

func (s *helmServer) Plan(req *pb.HelmPlanRequest, out grpc.ServerStreamingServer[pb.HelmPlanResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.HelmPlanResponse]) (*pb.HelmPlanResponse, error) {
		rendered, err := h.Plan(ctx, wire.ReleaseFromProto(req.GetRelease()), func(c helm.Change) {
			e.emit(&pb.HelmPlanResponse{Event: &pb.HelmPlanResponse_Change{Change: wire.ReleaseChangeToProto(c)}}, nil)
		})
		return &pb.HelmPlanResponse{Event: &pb.HelmPlanResponse_Result{Result: wire.RenderedToProto(rendered)}}, err
	})
}

func (s *helmServer) Upgrade(req *pb.UpgradeRequest, out grpc.ServerStreamingServer[pb.UpgradeResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.UpgradeResponse]) (*pb.UpgradeResponse, error) {
		rev, err := h.Upgrade(ctx, wire.ReleaseFromProto(req.GetRelease()), func(ev helm.Event) {
			e.emit(&pb.UpgradeResponse{Event: &pb.UpgradeResponse_Progress{Progress: wire.ReleaseEventToProto(ev)}}, nil)
		})
		return &pb.UpgradeResponse{Event: &pb.UpgradeResponse_Result{Result: wire.ReleaseRevisionToProto(rev)}}, err
	})
}

func (s *helmServer) Rollback(req *pb.RollbackRequest, out grpc.ServerStreamingServer[pb.RollbackResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.RollbackResponse]) (*pb.RollbackResponse, error) {
		rev, err := h.Rollback(ctx, wire.RollbackFromProto(req), func(ev helm.Event) {
			e.emit(&pb.RollbackResponse{Event: &pb.RollbackResponse_Progress{Progress: wire.ReleaseEventToProto(ev)}}, nil)
		})
		return &pb.RollbackResponse{Event: &pb.RollbackResponse_Result{Result: wire.ReleaseRevisionToProto(rev)}}, err
	})
}

func (s *helmServer) PlanRollback(req *pb.RollbackRequest, out grpc.ServerStreamingServer[pb.PlanRollbackResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, p helm.RollbackPlanner, e *emitter[pb.PlanRollbackResponse]) (*pb.PlanRollbackResponse, error) {
		rev, err := p.PlanRollback(ctx, wire.RollbackFromProto(req), func(c helm.Change) {
			e.emit(&pb.PlanRollbackResponse{Event: &pb.PlanRollbackResponse_Change{Change: wire.ReleaseChangeToProto(c)}}, nil)
		})
		return &pb.PlanRollbackResponse{Event: &pb.PlanRollbackResponse_Result{Result: wire.ReleaseRevisionToProto(rev)}}, err
	})
}

func (s *helmServer) Uninstall(req *pb.UninstallRequest, out grpc.ServerStreamingServer[pb.UninstallResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.UninstallResponse]) (*pb.UninstallResponse, error) {
		err := h.Uninstall(ctx, wire.UninstallFromProto(req), func(ev helm.Event) {
			e.emit(&pb.UninstallResponse{Event: &pb.UninstallResponse_Progress{Progress: wire.ReleaseEventToProto(ev)}}, nil)
		})
		return &pb.UninstallResponse{Event: &pb.UninstallResponse_Result{Result: &pb.UninstallResult{}}}, err
	})
}

func (s *helmServer) Test(req *pb.TestRequest, out grpc.ServerStreamingServer[pb.TestResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.TestResponse]) (*pb.TestResponse, error) {
		err := h.Test(ctx, wire.TestFromProto(req), func(ev helm.Event) {
			e.emit(&pb.TestResponse{Event: &pb.TestResponse_Progress{Progress: wire.ReleaseEventToProto(ev)}}, nil)
		})
		return &pb.TestResponse{Event: &pb.TestResponse_Result{Result: &pb.TestResult{}}}, err
	})
}

func (s *helmServer) History(req *pb.HistoryRequest, out grpc.ServerStreamingServer[pb.HistoryResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, h helm.Helm, e *emitter[pb.HistoryResponse]) (*pb.HistoryResponse, error) {
		err := h.History(ctx, wire.ReleaseRefFromProto(req.GetRef()), func(rev helm.Revision) {
			e.emit(&pb.HistoryResponse{Event: &pb.HistoryResponse_Revision{Revision: wire.ReleaseRevisionToProto(rev)}}, nil)
		})
		return &pb.HistoryResponse{Event: &pb.HistoryResponse_Result{Result: &pb.HistoryResult{}}}, err
	})
}

func (s *helmServer) Status(ctx context.Context, req *pb.HelmStatusRequest) (*pb.HelmStatusResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, h helm.Helm) (*pb.HelmStatusResponse, error) {
		rev, err := h.Status(ctx, wire.ReleaseRefFromProto(req.GetRef()))
		return &pb.HelmStatusResponse{Revision: wire.ReleaseRevisionToProto(rev)}, err
	})
}

func (s *helmServer) Unlock(ctx context.Context, req *pb.UnlockRequest) (*pb.UnlockResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, h helm.Helm) (*pb.UnlockResponse, error) {
		rev, err := h.Unlock(ctx, wire.ReleaseRefFromProto(req.GetRef()))
		return &pb.UnlockResponse{Revision: wire.ReleaseRevisionToProto(rev)}, err
	})
}

func (s *helmServer) List(req *pb.HelmListRequest, out grpc.ServerStreamingServer[pb.HelmListResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, l helm.Lister, e *emitter[pb.HelmListResponse]) (*pb.HelmListResponse, error) {
		err := l.List(ctx, req.GetNamespace(), func(ref helm.ReleaseRef, rev helm.Revision) {
			e.emit(&pb.HelmListResponse{Event: &pb.HelmListResponse_Release{Release: &pb.ListedRelease{
				Ref: wire.ReleaseRefToProto(ref), Revision: wire.ReleaseRevisionToProto(rev),
			}}}, nil)
		})
		return &pb.HelmListResponse{Event: &pb.HelmListResponse_Result{Result: &pb.HelmListResult{}}}, err
	})
}

func (s *helmServer) Content(ctx context.Context, req *pb.ContentRequest) (*pb.ContentResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, r helm.Reader) (*pb.ContentResponse, error) {
		content, err := r.Content(ctx, wire.ReleaseRefFromProto(req.GetRef()), int(req.GetNumber()))
		return wire.ContentToProto(content), err
	})
}

func (s *helmServer) Compare(req *pb.CompareRequest, out grpc.ServerStreamingServer[pb.CompareResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, c helm.Comparer, e *emitter[pb.CompareResponse]) (*pb.CompareResponse, error) {
		err := c.Compare(ctx, wire.ComparisonFromProto(req), func(change helm.Change) {
			e.emit(&pb.CompareResponse{Event: &pb.CompareResponse_Change{Change: wire.ReleaseChangeToProto(change)}}, nil)
		})
		return &pb.CompareResponse{Event: &pb.CompareResponse_Result{Result: &pb.CompareResult{}}}, err
	})
}
