// Package registry is the contract of registry_credential plugins: how to
// authenticate to a container registry, and, where the registry has an API of
// its own for it, how to list an image's tags with their push times.
package registry

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Provider answers for the registries that its configuration covers. Methods
// may be called at the same time from several goroutines.
type Provider interface {
	// Credential returns what to authenticate with for req, or ErrAnonymous
	// if the provider has nothing for it, so that the next one is asked. It
	// must not cache beyond ExpiresAt; the host caches by Scope.
	Credential(ctx context.Context, req Request) (Credential, error)
}

// ErrAnonymous says: nothing for this one. Wrap it to tell people why, where
// that helps them:
//
//	fmt.Errorf("secret shop/regcred does not exist: %w", registry.ErrAnonymous)
//
// The host asks the next provider, and shows the text before it in
// "sluice credentials explain". It must not hold anything secret.
var ErrAnonymous = host.ErrAnonymous

// Request names what will be accessed and for whom.
type Request struct {
	Host       string   // registry host with port, as in the image reference
	Repository string   // path within the registry
	Consumer   Consumer // on whose behalf; zero for the daemon itself, see ConsumerProvider
}

// Consumer is the workload that runs the image. Credentials found for one
// namespace are never used for another.
type Consumer struct {
	Namespace      string
	ServiceAccount string
	PullSecrets    []string // those of the pod first
}

// ConsumerProvider is a Provider whose answer depends on Request.Consumer, as
// that of pull secrets does. Its answers are cached for each consumer. Other
// providers get a zero Consumer, and one answer serves every namespace.
type ConsumerProvider interface {
	Provider
	// ForConsumers marks the type; it is never called.
	ForConsumers()
}

// Scope tells how widely a Credential may be reused.
type Scope string

const (
	ScopeRepository Scope = "repository" // this repository only
	ScopeRegistry   Scope = "registry"   // every repository of the host
	ScopeGlobal     Scope = "global"     // every host the provider answers for; it is asked once about each
)

// Credential is a user name with a password, or an identity token (OAuth2
// refresh token of the docker token protocol). A zero ExpiresAt means that it
// does not expire.
type Credential struct {
	Username      string
	Password      secret.Secret
	IdentityToken secret.Secret
	Scope         Scope
	ExpiresAt     time.Time
}

// Lister is a Provider whose registry tells digests and push times of tags in
// bulk. Tags calls emit for every tag of req.Repository; it returns an error, and
// the listing counts as partial, unless all were emitted. A registry it has
// no API for is ErrAnonymous.
type Lister interface {
	Tags(ctx context.Context, req Request, emit func(Tag)) error
}

// Tag is one tag; zero times are unknown.
type Tag struct {
	Name    string
	Digest  string
	Pushed  time.Time
	Created time.Time
}
