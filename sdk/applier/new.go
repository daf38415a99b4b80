package applier

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "applier" of type typ. Its configuration is C, see
// schema.Of. open returns an Applier or a type that implements it; with the
// latter, the plugin's description tells what instances can do. If the
// instance is an io.Closer it is closed at the end.
func New[C any, A Applier](typ string, open func(ctx context.Context, config C, env plug.Env) (A, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Applier, typ, capabilities, open, opts)
}

// Capabilities of appliers, as hosts know them.
const (
	CanListWorkloads = "applier.workloads"
	CanKeepSecrets   = "applier.secrets"
	CanLease         = "applier.lease"
	CanMark          = "applier.mark"
	CanKeepResources = "applier.resources"
	CanInspect       = "applier.inspect"
)

var capabilities = []plug.Capability{
	{Name: CanListWorkloads, Has: func(v any) bool { _, ok := v.(WorkloadLister); return ok }},
	{Name: CanKeepSecrets, Has: func(v any) bool { _, ok := v.(SecretStore); return ok }},
	{Name: CanLease, Has: func(v any) bool { _, ok := v.(Leaser); return ok }},
	{Name: CanMark, Has: func(v any) bool { _, ok := v.(Marker); return ok }},
	{Name: CanKeepResources, Has: func(v any) bool { _, ok := v.(ResourceKeeper); return ok }},
	{Name: CanInspect, Has: func(v any) bool { _, ok := v.(Inspector); return ok }},
}
