package serve

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// applierServer serves the instances that are appliers.
type applierServer struct {
	pb.UnimplementedApplierServer
	instances *instances
}

func (s *applierServer) Plan(req *pb.PlanRequest, out grpc.ServerStreamingServer[pb.PlanResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, a applier.Applier, e *emitter[pb.PlanResponse]) (*pb.PlanResponse, error) {
		summary, err := a.Plan(ctx, wire.SetFromProto(req.GetSet()), func(c applier.Change) {
			p, err := wire.PlannedToProto(c)
			e.emit(&pb.PlanResponse{Event: &pb.PlanResponse_Change{Change: p}}, err)
		})
		return &pb.PlanResponse{Event: &pb.PlanResponse_Result{Result: wire.SummaryToProto(summary)}}, err
	})
}

func (s *applierServer) Apply(req *pb.ApplyRequest, out grpc.ServerStreamingServer[pb.ApplyResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, a applier.Applier, e *emitter[pb.ApplyResponse]) (*pb.ApplyResponse, error) {
		summary, err := a.Apply(ctx, wire.SetFromProto(req.GetSet()), func(r applier.Result) {
			p, err := wire.ResultToProto(r)
			e.emit(&pb.ApplyResponse{Event: &pb.ApplyResponse_Object{Object: p}}, err)
		})
		return &pb.ApplyResponse{Event: &pb.ApplyResponse_Result{Result: wire.SummaryToProto(summary)}}, err
	})
}

func (s *applierServer) Delete(req *pb.DeleteRequest, out grpc.ServerStreamingServer[pb.DeleteResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, a applier.Applier, e *emitter[pb.DeleteResponse]) (*pb.DeleteResponse, error) {
		summary, err := a.Delete(ctx, wire.DeletionFromProto(req), func(r applier.Result) {
			p, err := wire.ResultToProto(r)
			e.emit(&pb.DeleteResponse{Event: &pb.DeleteResponse_Object{Object: p}}, err)
		})
		return &pb.DeleteResponse{Event: &pb.DeleteResponse_Result{Result: wire.SummaryToProto(summary)}}, err
	})
}

func (s *applierServer) Status(req *pb.StatusRequest, out grpc.ServerStreamingServer[pb.StatusResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, a applier.Applier, e *emitter[pb.StatusResponse]) (*pb.StatusResponse, error) {
		err := a.Status(ctx, req.GetOwner(), func(o applier.ObjectStatus) {
			p, err := wire.StatusToProto(o)
			e.emit(&pb.StatusResponse{Event: &pb.StatusResponse_Object{Object: p}}, err)
		})
		return &pb.StatusResponse{Event: &pb.StatusResponse_Result{Result: &pb.StatusResult{}}}, err
	})
}

func (s *applierServer) Watch(req *pb.ApplierWatchRequest, out grpc.ServerStreamingServer[pb.ApplierWatchResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, a applier.Applier, e *emitter[pb.ApplierWatchResponse]) (*pb.ApplierWatchResponse, error) {
		err := a.Watch(ctx, req.GetOwner(), func(o applier.ObjectStatus) {
			if o.Ref == (applier.Ref{}) {
				e.emit(&pb.ApplierWatchResponse{Event: &pb.ApplierWatchResponse_Synced{Synced: &pb.Synced{}}}, nil)
				return
			}
			p, err := wire.StatusToProto(o)
			e.emit(&pb.ApplierWatchResponse{Event: &pb.ApplierWatchResponse_Object{Object: p}}, err)
		})
		return &pb.ApplierWatchResponse{Event: &pb.ApplierWatchResponse_Result{Result: &pb.ApplierWatchResult{}}}, err
	})
}

func (s *applierServer) Workloads(req *pb.WorkloadsRequest, out grpc.ServerStreamingServer[pb.WorkloadsResponse]) error {
	filter := wire.WorkloadFilterFromProto(req)
	return stream(out, s.instances, req, func(ctx context.Context, l applier.WorkloadLister, e *emitter[pb.WorkloadsResponse]) (*pb.WorkloadsResponse, error) {
		err := l.Workloads(ctx, filter, func(w applier.Workload) {
			p, err := wire.WorkloadToProto(w)
			e.emit(&pb.WorkloadsResponse{Event: &pb.WorkloadsResponse_Workload{Workload: p}}, err)
		})
		return &pb.WorkloadsResponse{Event: &pb.WorkloadsResponse_Result{Result: &pb.WorkloadsResult{}}}, err
	})
}

func (s *applierServer) ReadSecret(ctx context.Context, req *pb.ReadSecretRequest) (*pb.ReadSecretResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, store applier.SecretStore) (*pb.ReadSecretResponse, error) {
		value, err := store.ReadSecret(ctx, wire.SecretRefFromProto(req.GetRef()))
		return &pb.ReadSecretResponse{Value: wire.SecretToProto(value)}, err
	})
}

func (s *applierServer) WriteSecret(ctx context.Context, req *pb.WriteSecretRequest) (*pb.WriteSecretResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, store applier.SecretStore) (*pb.WriteSecretResponse, error) {
		return &pb.WriteSecretResponse{}, store.WriteSecret(ctx, wire.SecretRefFromProto(req.GetRef()), wire.SecretFromProto(req.GetValue()))
	})
}

func (s *applierServer) Lease(req *pb.LeaseRequest, out grpc.ServerStreamingServer[pb.LeaseResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, l applier.Leaser, e *emitter[pb.LeaseResponse]) (*pb.LeaseResponse, error) {
		err := l.Lease(ctx, req.GetName(), req.GetHolder(), func() {
			e.emit(&pb.LeaseResponse{Event: &pb.LeaseResponse_Acquired{Acquired: &pb.Acquired{}}}, nil)
		})
		return &pb.LeaseResponse{Event: &pb.LeaseResponse_Result{Result: &pb.LeaseResult{}}}, err
	})
}

func (s *applierServer) Mark(ctx context.Context, req *pb.ApplierMarkRequest) (*pb.ApplierMarkResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, m applier.Marker) (*pb.ApplierMarkResponse, error) {
		return &pb.ApplierMarkResponse{}, m.Mark(ctx, req.GetOwner(), req.GetName(), req.GetValue())
	})
}

func (s *applierServer) Follow(req *pb.FollowRequest, out grpc.ServerStreamingServer[pb.FollowResponse]) error {
	return stream(out, s.instances, req, func(ctx context.Context, k applier.ResourceKeeper, e *emitter[pb.FollowResponse]) (*pb.FollowResponse, error) {
		err := k.Follow(ctx, wire.ResourceFilterFromProto(req), func(r applier.Resource) {
			if r.Ref == (applier.Ref{}) {
				e.emit(&pb.FollowResponse{Event: &pb.FollowResponse_Synced{Synced: &pb.Synced{}}}, nil)
				return
			}
			e.emit(&pb.FollowResponse{Event: &pb.FollowResponse_Resource{Resource: wire.ResourceToProto(r)}}, nil)
		})
		return &pb.FollowResponse{Event: &pb.FollowResponse_Result{Result: &pb.FollowResult{}}}, err
	})
}

func (s *applierServer) PatchResource(ctx context.Context, req *pb.PatchResourceRequest) (*pb.PatchResourceResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, k applier.ResourceKeeper) (*pb.PatchResourceResponse, error) {
		r, err := k.PatchResource(ctx, wire.ResourcePatchFromProto(req))
		return &pb.PatchResourceResponse{Resource: wire.ResourceToProto(r)}, err
	})
}

func (s *applierServer) TellResource(ctx context.Context, req *pb.TellResourceRequest) (*pb.TellResourceResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, k applier.ResourceKeeper) (*pb.TellResourceResponse, error) {
		return &pb.TellResourceResponse{}, k.TellResource(ctx, wire.ResourceEventFromProto(req))
	})
}

func (s *applierServer) ReadConfig(ctx context.Context, req *pb.ReadConfigRequest) (*pb.ReadConfigResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, k applier.ResourceKeeper) (*pb.ReadConfigResponse, error) {
		value, err := k.ReadConfig(ctx, wire.ConfigRefFromProto(req))
		return wire.ConfigToProto(value), err
	})
}

func (s *applierServer) Inspect(ctx context.Context, req *pb.InspectRequest) (*pb.InspectResponse, error) {
	return unary(ctx, s.instances, req, func(ctx context.Context, i applier.Inspector) (*pb.InspectResponse, error) {
		found, err := i.Inspect(ctx, wire.InquiryFromProto(req))
		return wire.InspectedToProto(found), err
	})
}
