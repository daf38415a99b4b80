package helm

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "helm" of type typ. Its configuration is C, see
// schema.Of. open returns a Helm or a type that implements it; with the latter,
// the plugin's description tells what instances can do. If the instance is an
// io.Closer it is closed at the end.
func New[C any, H Helm](typ string, open func(ctx context.Context, config C, env plug.Env) (H, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Helm, typ, capabilities, open, opts)
}

// Capabilities of helms, as hosts know them.
const (
	CanList         = "helm.list"
	CanRead         = "helm.read"
	CanCompare      = "helm.compare"
	CanPlanRollback = "helm.plan_rollback"
)

var capabilities = []plug.Capability{
	{Name: CanList, Has: func(v any) bool { _, ok := v.(Lister); return ok }},
	{Name: CanRead, Has: func(v any) bool { _, ok := v.(Reader); return ok }},
	{Name: CanCompare, Has: func(v any) bool { _, ok := v.(Comparer); return ok }},
	{Name: CanPlanRollback, Has: func(v any) bool { _, ok := v.(RollbackPlanner); return ok }},
}
