package client

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Applier is an instance of the kind "applier".
type Applier struct{ caller Caller }

var _ interface {
	applier.Applier
	applier.WorkloadLister
	applier.SecretStore
	applier.Leaser
	applier.Marker
	applier.ResourceKeeper
	applier.Inspector
} = (*Applier)(nil)

// NewApplier uses c to call the instance.
func NewApplier(c Caller) *Applier { return &Applier{c} }

// Plan implements applier.Applier.
func (a *Applier) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	var summary applier.Summary
	err := stream(ctx, a.caller, Method{Name: "applier.Plan", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.PlanResponse], error) {
			return pb.NewApplierClient(conn).Plan(ctx, &pb.PlanRequest{Instance: instance, Set: wire.SetToProto(set)})
		},
		func(msg *pb.PlanResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.PlanResponse_Change:
				return false, forward(e.Change, wire.PlannedFromProto, emit)
			case *pb.PlanResponse_Result:
				summary = wire.SummaryFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return summary, err
}

// Apply implements applier.Applier.
func (a *Applier) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	var summary applier.Summary
	err := stream(ctx, a.caller, Method{Name: "applier.Apply"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.ApplyResponse], error) {
			return pb.NewApplierClient(conn).Apply(ctx, &pb.ApplyRequest{Instance: instance, Set: wire.SetToProto(set)})
		},
		func(msg *pb.ApplyResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.ApplyResponse_Object:
				return false, forward(e.Object, wire.ResultFromProto, emit)
			case *pb.ApplyResponse_Result:
				summary = wire.SummaryFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return summary, err
}

// Delete implements applier.Applier.
func (a *Applier) Delete(ctx context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	var summary applier.Summary
	err := stream(ctx, a.caller, Method{Name: "applier.Delete"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.DeleteResponse], error) {
			req := wire.DeletionToProto(del)
			req.Instance = instance
			return pb.NewApplierClient(conn).Delete(ctx, req)
		},
		func(msg *pb.DeleteResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.DeleteResponse_Object:
				return false, forward(e.Object, wire.ResultFromProto, emit)
			case *pb.DeleteResponse_Result:
				summary = wire.SummaryFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return summary, err
}

// Status implements applier.Applier.
func (a *Applier) Status(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return stream(ctx, a.caller, Method{Name: "applier.Status", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.StatusResponse], error) {
			return pb.NewApplierClient(conn).Status(ctx, &pb.StatusRequest{Instance: instance, Owner: owner})
		},
		func(msg *pb.StatusResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.StatusResponse_Object); ok {
				return false, forward(e.Object, wire.StatusFromProto, emit)
			}
			return msg.GetResult() != nil, nil
		})
}

// Watch implements applier.Applier.
func (a *Applier) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return stream(ctx, a.caller, Method{Name: "applier.Watch"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.ApplierWatchResponse], error) {
			return pb.NewApplierClient(conn).Watch(ctx, &pb.ApplierWatchRequest{Instance: instance, Owner: owner})
		},
		func(msg *pb.ApplierWatchResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.ApplierWatchResponse_Object:
				return false, forward(e.Object, wire.StatusFromProto, emit)
			case *pb.ApplierWatchResponse_Synced:
				emit(applier.ObjectStatus{})
			}
			return msg.GetResult() != nil, nil
		})
}

// Workloads implements applier.WorkloadLister.
func (a *Applier) Workloads(ctx context.Context, filter applier.WorkloadFilter, emit func(applier.Workload)) error {
	return stream(ctx, a.caller, Method{Name: "applier.Workloads", Timeout: 2 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.WorkloadsResponse], error) {
			req := wire.WorkloadFilterToProto(filter)
			req.Instance = instance
			return pb.NewApplierClient(conn).Workloads(ctx, req)
		},
		func(msg *pb.WorkloadsResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.WorkloadsResponse_Workload); ok {
				return false, forward(e.Workload, wire.WorkloadFromProto, emit)
			}
			return msg.GetResult() != nil, nil
		})
}

// ReadSecret implements applier.SecretStore.
func (a *Applier) ReadSecret(ctx context.Context, ref applier.SecretRef) (secret.Secret, error) {
	m := Method{Name: "applier.ReadSecret", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.ReadSecretResponse, error) {
		return pb.NewApplierClient(conn).ReadSecret(ctx, &pb.ReadSecretRequest{Instance: instance, Ref: wire.SecretRefToProto(ref)})
	})
	return wire.SecretFromProto(resp.GetValue()), err
}

// WriteSecret implements applier.SecretStore.
func (a *Applier) WriteSecret(ctx context.Context, ref applier.SecretRef, value secret.Secret) error {
	m := Method{Name: "applier.WriteSecret", Idempotent: true, Timeout: time.Minute}
	_, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.WriteSecretResponse, error) {
		return pb.NewApplierClient(conn).WriteSecret(ctx, &pb.WriteSecretRequest{
			Instance: instance, Ref: wire.SecretRefToProto(ref), Value: wire.SecretToProto(value),
		})
	})
	return err
}

// Lease implements applier.Leaser.
func (a *Applier) Lease(ctx context.Context, name, holder string, acquired func()) error {
	return stream(ctx, a.caller, Method{Name: "applier.Lease"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.LeaseResponse], error) {
			return pb.NewApplierClient(conn).Lease(ctx, &pb.LeaseRequest{Instance: instance, Name: name, Holder: holder})
		},
		func(msg *pb.LeaseResponse) (bool, error) {
			if _, ok := msg.GetEvent().(*pb.LeaseResponse_Acquired); ok {
				acquired()
			}
			return msg.GetResult() != nil, nil
		})
}

// Mark implements applier.Marker.
func (a *Applier) Mark(ctx context.Context, owner, name, value string) error {
	m := Method{Name: "applier.Mark", Idempotent: true, Timeout: time.Minute}
	_, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.ApplierMarkResponse, error) {
		return pb.NewApplierClient(conn).Mark(ctx, &pb.ApplierMarkRequest{Instance: instance, Owner: owner, Name: name, Value: value})
	})
	return err
}

// forward converts a streamed message and emits it.
func forward[P, G any](p P, convert func(P) (G, error), emit func(G)) error {
	g, err := convert(p)
	if err != nil {
		return err
	}
	emit(g)
	return nil
}
