package helm

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "helm" of type typ. Its configuration is C, see
// schema.Of. open returns a Helm or a type that implements it. If the instance
// is an io.Closer it is closed at the end.
func New[C any, H Helm](typ string, open func(ctx context.Context, config C, env plug.Env) (H, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Helm, typ, nil, open, opts)
}
