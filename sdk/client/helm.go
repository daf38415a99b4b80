package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// Helm is an instance of the kind "helm".
type Helm struct{ caller Caller }

var _ interface {
	helm.Helm
	helm.Lister
	helm.Reader
	helm.Comparer
	helm.RollbackPlanner
} = (*Helm)(nil)

// NewHelm uses c to call the instance.
func NewHelm(c Caller) *Helm { return &Helm{c} }

// Resolve implements helm.Helm.
func (h *Helm) Resolve(ctx context.Context, ref helm.ChartRef) (helm.Chart, error) {
	m := Method{Name: "helm.Resolve", Idempotent: true, Timeout: 2 * time.Minute}
	resp, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.HelmResolveResponse, error) {
		return pb.NewHelmClient(conn).Resolve(ctx, &pb.HelmResolveRequest{Instance: instance, Ref: wire.ChartRefToProto(ref)})
	})
	switch {
	case err != nil:
		return helm.Chart{}, err
	case resp.GetChart().GetVersion() == "":
		return helm.Chart{}, errors.New("the plugin resolved a chart without a version")
	}
	return wire.ChartFromProto(resp.GetChart()), nil
}

// Pull implements helm.Helm. Before it repeats a failed attempt it empties dir.
func (h *Helm) Pull(ctx context.Context, chart helm.Chart, dir string) error {
	m := Method{Name: "helm.Pull", Idempotent: true, Timeout: 10 * time.Minute}
	attempts := 0
	_, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.PullResponse, error) {
		if attempts++; attempts > 1 {
			if err := empty(dir); err != nil {
				return nil, fmt.Errorf("empty the directory for another attempt: %w", err)
			}
		}
		return pb.NewHelmClient(conn).Pull(ctx, &pb.PullRequest{Instance: instance, Chart: wire.ChartToProto(chart), Dir: dir})
	})
	return err
}

// Template implements helm.Helm.
func (h *Helm) Template(ctx context.Context, r helm.Release, out string) (helm.Rendered, error) {
	m := Method{Name: "helm.Template", Idempotent: true, Timeout: 5 * time.Minute}
	resp, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.TemplateResponse, error) {
		return pb.NewHelmClient(conn).Template(ctx, &pb.TemplateRequest{Instance: instance, Release: wire.ReleaseToProto(r), Out: out})
	})
	return wire.RenderedFromProto(resp.GetRendered()), err
}

// Plan implements helm.Helm.
func (h *Helm) Plan(ctx context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	var rendered helm.Rendered
	err := stream(ctx, h.caller, Method{Name: "helm.Plan", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.HelmPlanResponse], error) {
			return pb.NewHelmClient(conn).Plan(ctx, &pb.HelmPlanRequest{Instance: instance, Release: wire.ReleaseToProto(r)})
		},
		func(msg *pb.HelmPlanResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.HelmPlanResponse_Change:
				emit(wire.ReleaseChangeFromProto(e.Change))
			case *pb.HelmPlanResponse_Result:
				rendered = wire.RenderedFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return rendered, err
}

// Upgrade implements helm.Helm.
func (h *Helm) Upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	var rev helm.Revision
	err := stream(ctx, h.caller, Method{Name: "helm.Upgrade"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.UpgradeResponse], error) {
			return pb.NewHelmClient(conn).Upgrade(ctx, &pb.UpgradeRequest{Instance: instance, Release: wire.ReleaseToProto(r)})
		},
		func(msg *pb.UpgradeResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.UpgradeResponse_Progress:
				emit(wire.ReleaseEventFromProto(e.Progress))
			case *pb.UpgradeResponse_Result:
				rev = wire.ReleaseRevisionFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return rev, err
}

// Rollback implements helm.Helm.
func (h *Helm) Rollback(ctx context.Context, r helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	var rev helm.Revision
	err := stream(ctx, h.caller, Method{Name: "helm.Rollback"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.RollbackResponse], error) {
			req := wire.RollbackToProto(r)
			req.Instance = instance
			return pb.NewHelmClient(conn).Rollback(ctx, req)
		},
		func(msg *pb.RollbackResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.RollbackResponse_Progress:
				emit(wire.ReleaseEventFromProto(e.Progress))
			case *pb.RollbackResponse_Result:
				rev = wire.ReleaseRevisionFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return rev, err
}

// PlanRollback implements helm.RollbackPlanner.
func (h *Helm) PlanRollback(ctx context.Context, r helm.Rollback, emit func(helm.Change)) (helm.Revision, error) {
	var rev helm.Revision
	err := stream(ctx, h.caller, Method{Name: "helm.PlanRollback", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.PlanRollbackResponse], error) {
			req := wire.RollbackToProto(r)
			req.Instance = instance
			return pb.NewHelmClient(conn).PlanRollback(ctx, req)
		},
		func(msg *pb.PlanRollbackResponse) (bool, error) {
			switch e := msg.GetEvent().(type) {
			case *pb.PlanRollbackResponse_Change:
				emit(wire.ReleaseChangeFromProto(e.Change))
			case *pb.PlanRollbackResponse_Result:
				rev = wire.ReleaseRevisionFromProto(e.Result)
				return true, nil
			}
			return false, nil
		})
	return rev, err
}

// Uninstall implements helm.Helm.
func (h *Helm) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	return stream(ctx, h.caller, Method{Name: "helm.Uninstall"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.UninstallResponse], error) {
			req := wire.UninstallToProto(u)
			req.Instance = instance
			return pb.NewHelmClient(conn).Uninstall(ctx, req)
		},
		func(msg *pb.UninstallResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.UninstallResponse_Progress); ok {
				emit(wire.ReleaseEventFromProto(e.Progress))
			}
			return msg.GetResult() != nil, nil
		})
}

// Test implements helm.Helm.
func (h *Helm) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error {
	return stream(ctx, h.caller, Method{Name: "helm.Test"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.TestResponse], error) {
			req := wire.TestToProto(t)
			req.Instance = instance
			return pb.NewHelmClient(conn).Test(ctx, req)
		},
		func(msg *pb.TestResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.TestResponse_Progress); ok {
				emit(wire.ReleaseEventFromProto(e.Progress))
			}
			return msg.GetResult() != nil, nil
		})
}

// History implements helm.Helm.
func (h *Helm) History(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	return stream(ctx, h.caller, Method{Name: "helm.History", Timeout: time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.HistoryResponse], error) {
			return pb.NewHelmClient(conn).History(ctx, &pb.HistoryRequest{Instance: instance, Ref: wire.ReleaseRefToProto(ref)})
		},
		func(msg *pb.HistoryResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.HistoryResponse_Revision); ok {
				emit(wire.ReleaseRevisionFromProto(e.Revision))
			}
			return msg.GetResult() != nil, nil
		})
}

// Status implements helm.Helm.
func (h *Helm) Status(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	m := Method{Name: "helm.Status", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.HelmStatusResponse, error) {
		return pb.NewHelmClient(conn).Status(ctx, &pb.HelmStatusRequest{Instance: instance, Ref: wire.ReleaseRefToProto(ref)})
	})
	return wire.ReleaseRevisionFromProto(resp.GetRevision()), err
}

// Unlock implements helm.Helm.
func (h *Helm) Unlock(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	m := Method{Name: "helm.Unlock", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.UnlockResponse, error) {
		return pb.NewHelmClient(conn).Unlock(ctx, &pb.UnlockRequest{Instance: instance, Ref: wire.ReleaseRefToProto(ref)})
	})
	return wire.ReleaseRevisionFromProto(resp.GetRevision()), err
}

// List implements helm.Lister.
func (h *Helm) List(ctx context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	return stream(ctx, h.caller, Method{Name: "helm.List", Timeout: 2 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.HelmListResponse], error) {
			return pb.NewHelmClient(conn).List(ctx, &pb.HelmListRequest{Instance: instance, Namespace: namespace})
		},
		func(msg *pb.HelmListResponse) (bool, error) {
			if r := msg.GetRelease(); r != nil {
				emit(wire.ReleaseRefFromProto(r.GetRef()), wire.ReleaseRevisionFromProto(r.GetRevision()))
			}
			return msg.GetResult() != nil, nil
		})
}

// Content implements helm.Reader.
func (h *Helm) Content(ctx context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	m := Method{Name: "helm.Content", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, h.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.ContentResponse, error) {
		return pb.NewHelmClient(conn).Content(ctx, &pb.ContentRequest{Instance: instance, Ref: wire.ReleaseRefToProto(ref), Number: int64(number)})
	})
	if err != nil {
		return helm.Content{}, err
	}
	return wire.ContentFromProto(resp), nil
}

// Compare implements helm.Comparer.
func (h *Helm) Compare(ctx context.Context, c helm.Comparison, emit func(helm.Change)) error {
	return stream(ctx, h.caller, Method{Name: "helm.Compare", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.CompareResponse], error) {
			req := wire.ComparisonToProto(c)
			req.Instance = instance
			return pb.NewHelmClient(conn).Compare(ctx, req)
		},
		func(msg *pb.CompareResponse) (bool, error) {
			if change := msg.GetChange(); change != nil {
				emit(wire.ReleaseChangeFromProto(change))
			}
			return msg.GetResult() != nil, nil
		})
}
