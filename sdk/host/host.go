// Package host is what the host does for a plugin: it finds credentials, keeps
// secrets and passes on events. A plugin reaches it through sdk.Env.Host.
//
// The host knows which process asks and for which of its instances, and
// decides by the user's configuration what that instance may have.
package host

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Services are the calls that a plugin can make. They may be made at the same
// time from several goroutines, during open and until the instance is closed,
// and they fail with ErrUnavailable if the host offers none.
type Services interface {
	// Credential returns what reaches a registry, or ErrAnonymous.
	Credential(ctx context.Context, req CredentialRequest) (Credential, error)
	// ReadSecret returns the value under ref, or ErrNoSecret.
	ReadSecret(ctx context.Context, ref SecretRef) (secret.Secret, error)
	// WriteSecret creates the secret, or replaces its one key.
	WriteSecret(ctx context.Context, ref SecretRef, value secret.Secret) error
	// Event tells the users of the host something worth knowing.
	Event(ctx context.Context, e Event) error
}

var (
	// ErrAnonymous says: nothing for this one. It is registry.ErrAnonymous.
	ErrAnonymous = errors.New("no credential for this image")
	// ErrNoSecret says that there is no such secret or key. It is
	// applier.ErrNoSecret.
	ErrNoSecret = errors.New("no such secret")
	// ErrUnavailable says that this host offers no services, as `describe`
	// and some test harnesses do.
	ErrUnavailable = errors.New("the host offers no services")
	// ErrDenied says that the host does not allow the call.
	ErrDenied = errors.New("the host does not allow it")
)

// CredentialRequest names what will be accessed.
type CredentialRequest struct {
	Host       string // registry host with port
	Repository string // path within the registry
	// Refused is the password or identity token of the last answer, if the
	// registry has refused it: the host asks anew where it has it from.
	Refused secret.Secret
}

// Credential is a user name with a password, or an identity token. A zero
// ExpiresAt means that it does not expire.
type Credential struct {
	Username      string
	Password      secret.Secret
	IdentityToken secret.Secret
	ExpiresAt     time.Time
}

// SecretRef names one value that an applier keeps in its target.
type SecretRef struct {
	Applier   string // address, "applier.kubernetes.prod"; empty: the default applier
	Namespace string // empty: the applier's own
	Name      string
	Key       string
}

// Event is something worth knowing, without secrets.
type Event struct {
	Reason  string // short and stable, for filters: "KeyGenerated"
	Message string // for a person
	Warning bool   // a person should look at it
	Labels  map[string]string
}
