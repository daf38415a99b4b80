package render

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// ErrNotOpen says that an instance may be there soon.
var ErrNotOpen = errors.New("is not open")

// Instance is a renderer that is open, what identifies it, and how long it may
// take.
type Instance struct {
	Address  string // of its block
	Renderer renderer.Renderer
	Identity string
	Timeout  time.Duration
}

// Render returns what the files in the tree at root, whose digest is given,
// render to, within the time that the instance has. The caller owes it a
// release.
func (i Instance) Render(ctx context.Context, s *Store, root, digest string, paths []string, namespace string) (res Rendered, release func(), err error) {
	key := Key{Tree: digest, Renderer: i.Identity, Paths: paths, Namespace: namespace}
	ctx, cancel := deadline.Within(ctx, i.Timeout)
	defer cancel()
	res, release, err = s.Render(ctx, key, i.Renderer, root)
	if err != nil && ctx.Err() != nil { // whatever the plugin calls that
		err = fmt.Errorf("render: %w", context.Cause(ctx))
	}
	if err != nil {
		return res, nil, fmt.Errorf("%s: %w", i.Address, err)
	}
	return res, release, nil
}
