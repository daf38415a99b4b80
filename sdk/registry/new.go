package registry

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "registry_credential" of type typ. Its configuration is
// C, see schema.Of. open returns a Provider or a type that implements it; with
// the latter, the plugin's description tells what instances can do. If the
// instance is an io.Closer it is closed at the end.
func New[C any, P Provider](typ string, open func(ctx context.Context, config C, env plug.Env) (P, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Registry, typ, capabilities, open, opts)
}

// Capabilities of providers, as hosts know them.
const (
	CanListTags  = "registry.tags"      // is a Lister
	ForConsumers = "registry.consumers" // is a ConsumerProvider
)

var capabilities = []plug.Capability{
	{Name: CanListTags, Has: func(v any) bool { _, ok := v.(Lister); return ok }},
	{Name: ForConsumers, Has: func(v any) bool { _, ok := v.(ConsumerProvider); return ok }},
}
