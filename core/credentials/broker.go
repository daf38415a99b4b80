package credentials

import (
	"context"
	"errors"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the broker of credentials is closed")

// Broker gives credentials. See the package comment.
type Broker struct{ o Options }

type grant struct{}

// New returns a broker with an empty chain: everything is anonymous. The
// caller owes it a Close.
func New(o Options) *Broker { return &Broker{o} }

// Configure replaces the chain; its order is the order of the questions. What
// is kept of a provider is told at Provider.Key. Instances that are not needed
// any more are closed once their calls have ended. It does not block.
func (b *Broker) Configure(providers []Provider) { panic("not yet") }

// Credential returns what to authenticate with for req; the zero Credential
// is anonymous. It waits for the providers no longer than ctx allows. The
// error is about the providers that failed, each named by its address; it
// holds a *RefusedError if the registry refuses what a provider gives.
func (b *Broker) Credential(ctx context.Context, req Request) (Credential, error) { panic("not yet") }

// Reject says that the registry answered 401 to a request for req with c. The
// next Credential asks the provider anew. If it gives the same value again,
// that value counts as refused for this repository: it is handed out once more
// after each back-off (5 s to 5 min), and meanwhile the chain goes on as after
// a failure, with a *RefusedError. A new value is used at once. An anonymous c
// lets the providers that had nothing be asked again.
func (b *Broker) Reject(ctx context.Context, req Request, c Credential) { panic("not yet") }

// Tags lists the tags of req.Repository by the API of the registry, if the
// provider whose credential Credential returns has one: emit is called for
// each, with times where they are known. native is false, without an error,
// if it has none: list by the registry protocol. With an error, the listing is
// partial.
func (b *Broker) Tags(ctx context.Context, req Request, emit func(registry.Tag)) (native bool, err error) {
	panic("not yet")
}

// List tells what is known of each provider, in the order of the chain.
func (b *Broker) List() []ProviderStatus { panic("not yet") }

// Explain asks every provider that Credential could ask for req, through the
// same cache, and tells what each said.
func (b *Broker) Explain(ctx context.Context, req Request) Explanation { panic("not yet") }

// Metrics returns the figures of each provider, in the order of the chain.
func (b *Broker) Metrics() Metrics { panic("not yet") }

// Close ends what is under way and closes every instance. Later calls fail
// with ErrClosed.
func (b *Broker) Close(ctx context.Context) error { panic("not yet") }

// RefusedError says that the registry refuses the credential of a provider.
type RefusedError struct {
	Provider   string // address
	Host       string
	Repository string
	Username   string
}

// Error says who gave the credential and what to do.
func (e *RefusedError) Error() string { return "" }

// CanonicalHost returns host in lower case, with the spellings of Docker Hub
// (docker.io, registry-1.docker.io) as index.docker.io.
func CanonicalHost(host string) string { return host }

// CheckMatch returns why pattern is not a pattern of images.
func CheckMatch(pattern string) error { return nil }

// DefaultMatch returns the patterns that providers of a plugin type are asked
// for if their block has no match; nil is everything.
func DefaultMatch(typ string) []string { return nil }
