package source

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// New makes the kind "source" of type typ. Its configuration is C, see
// schema.Of. open returns a Source or a type that implements it; with the
// latter, the plugin's description tells what instances can do. If the
// instance is an io.Closer it is closed at the end.
func New[C any, S Source](typ string, open func(ctx context.Context, config C, env plug.Env) (S, error), opts ...plug.Option) plug.Kind {
	return plug.NewKind(plug.Source, typ, capabilities, open, opts)
}

// Capabilities of sources, as hosts know them.
const (
	CanWatch    = "source.watch"
	CanLog      = "source.log"
	CanCommit   = "source.commit"
	CanBranch   = "source.branch"
	CanMark     = "source.mark"
	CanVerify   = "source.verify"
	CanIdentify = "source.identity"
)

var capabilities = []plug.Capability{
	{Name: CanWatch, Has: func(v any) bool { _, ok := v.(Watcher); return ok }},
	{Name: CanLog, Has: func(v any) bool { _, ok := v.(Logger); return ok }},
	{Name: CanCommit, Has: func(v any) bool { _, ok := v.(Committer); return ok }},
	{Name: CanBranch, Has: func(v any) bool { _, ok := v.(Brancher); return ok }},
	{Name: CanMark, Has: func(v any) bool { _, ok := v.(Marker); return ok }},
	{Name: CanVerify, Has: func(v any) bool { _, ok := v.(Verifier); return ok }},
	{Name: CanIdentify, Has: func(v any) bool { _, ok := v.(Identifier); return ok }},
}
