package renderer

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "renderer" of type typ. Its configuration is C, see
// schema.Of. open returns a Renderer or a type that implements it; with the
// latter, the plugin's description tells what instances can do. If the
// instance is an io.Closer it is closed at the end.
func New[C any, R Renderer](typ string, open func(ctx context.Context, config C, env plug.Env) (R, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Renderer, typ, capabilities, open, opts)
}

// CanUpdate is the capability of Updaters, as hosts know it.
const CanUpdate = "renderer.update"

var capabilities = []plug.Capability{
	{Name: CanUpdate, Has: func(v any) bool { _, ok := v.(Updater); return ok }},
}
