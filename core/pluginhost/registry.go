package pluginhost

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Registry is a provider of registry credentials whose passwords and tokens are
// scrubbed from what plugins log and say once they were given.
type Registry struct {
	*client.Registry
	scrub *Scrubber
}

var _ interface {
	registry.Provider
	registry.Lister
} = (*Registry)(nil)

// Credential implements registry.Provider.
func (r *Registry) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	c, err := r.Registry.Credential(ctx, req)
	r.scrub.AddPassing(c.Password.Reveal(), c.IdentityToken.Reveal())
	if !c.Password.IsZero() {
		r.scrub.AddPassing(c.Username + ":" + c.Password.Reveal()) // whose base64 is the header
	}
	return c, err
}
