package client

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// Follow implements applier.ResourceKeeper.
func (a *Applier) Follow(ctx context.Context, filter applier.ResourceFilter, emit func(applier.Resource)) error {
	return stream(ctx, a.caller, Method{Name: "applier.Follow"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.FollowResponse], error) {
			req := wire.ResourceFilterToProto(filter)
			req.Instance = instance
			return pb.NewApplierClient(conn).Follow(ctx, req)
		},
		func(msg *pb.FollowResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.FollowResponse_Resource:
				emit(wire.ResourceFromProto(e.Resource))
			case *pb.FollowResponse_Synced:
				emit(applier.Resource{})
			}
			return msg.GetResult() != nil, nil
		})
}

// PatchResource implements applier.ResourceKeeper.
func (a *Applier) PatchResource(ctx context.Context, patch applier.ResourcePatch) (applier.Resource, error) {
	m := Method{Name: "applier.PatchResource", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.PatchResourceResponse, error) {
		req := wire.ResourcePatchToProto(patch)
		req.Instance = instance
		return pb.NewApplierClient(conn).PatchResource(ctx, req)
	})
	return wire.ResourceFromProto(resp.GetResource()), err
}

// TellResource implements applier.ResourceKeeper. It may be repeated without
// asking: an event that is counted twice is better than one that is lost.
func (a *Applier) TellResource(ctx context.Context, event applier.ResourceEvent) error {
	m := Method{Name: "applier.TellResource", Idempotent: true, Timeout: time.Minute}
	_, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.TellResourceResponse, error) {
		req := wire.ResourceEventToProto(event)
		req.Instance = instance
		return pb.NewApplierClient(conn).TellResource(ctx, req)
	})
	return err
}

// Inspect implements applier.Inspector.
func (a *Applier) Inspect(ctx context.Context, q applier.Inquiry) (applier.Inspected, error) {
	m := Method{Name: "applier.Inspect", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.InspectResponse, error) {
		req := wire.InquiryToProto(q)
		req.Instance = instance
		return pb.NewApplierClient(conn).Inspect(ctx, req)
	})
	return wire.InspectedFromProto(resp), err
}

// ReadConfig implements applier.ResourceKeeper.
func (a *Applier) ReadConfig(ctx context.Context, ref applier.ConfigRef) (string, error) {
	m := Method{Name: "applier.ReadConfig", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, a.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.ReadConfigResponse, error) {
		req := wire.ConfigRefToProto(ref)
		req.Instance = instance
		return pb.NewApplierClient(conn).ReadConfig(ctx, req)
	})
	return resp.GetValue(), err
}
