package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Renderer is an instance of the kind "renderer".
type Renderer struct{ caller Caller }

var _ interface {
	renderer.Renderer
	renderer.Updater
} = (*Renderer)(nil)

// NewRenderer uses c to call the instance.
func NewRenderer(c Caller) *Renderer { return &Renderer{c} }

// Render implements renderer.Renderer. Before it repeats a failed attempt it
// empties req.Out.
func (r *Renderer) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	m := Method{Name: "renderer.Render", Idempotent: true, Timeout: 10 * time.Minute}
	attempts := 0
	resp, err := unary(ctx, r.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.RenderResponse, error) {
		if attempts++; attempts > 1 {
			if err := empty(req.Out); err != nil {
				return nil, fmt.Errorf("empty the directory for another attempt: %w", err)
			}
		}
		p := wire.RenderToProto(req)
		p.Instance = instance
		return pb.NewRendererClient(conn).Render(ctx, p)
	})
	if err != nil {
		return renderer.Result{}, err
	}
	return wire.RenderResultFromProto(resp)
}

// Update implements renderer.Updater.
func (r *Renderer) Update(ctx context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	m := Method{Name: "renderer.Update", Timeout: 10 * time.Minute}
	resp, err := unary(ctx, r.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.UpdateResponse, error) {
		p := wire.UpdateToProto(req)
		p.Instance = instance
		return pb.NewRendererClient(conn).Update(ctx, p)
	})
	if err != nil {
		return renderer.UpdateResult{}, err
	}
	res := wire.UpdateResultFromProto(resp)
	if len(res.Errors) != len(req.Changes) {
		return renderer.UpdateResult{}, fmt.Errorf("the plugin answered %d of %d changes", len(res.Errors), len(req.Changes))
	}
	return res, nil
}
