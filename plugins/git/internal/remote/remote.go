// Package remote talks to git servers: it names the refs of a repository,
// brings refs with their objects into a local bare repository, and publishes
// what has been added there.
//
// A Transport does the work. CLI runs the git binary, which speaks protocol v2
// and so asks for nothing but the refs that are wanted; Native needs no binary
// and speaks the older protocol, which lists every ref at each call. Both
// check host keys strictly, keep credentials out of arguments, environment
// and messages, and report failures as a *Fault with the same words.
package remote

import (
	"context"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Target is a repository with everything that is needed to reach it.
type Target struct {
	Address     Address
	Credentials Credentials
	TLS         TLS
	KnownHosts  string        // lines in known_hosts format, on top of the built-in ones
	Stall       time.Duration // give up when the server is silent for this long
}

// Credentials is what the server is shown. The zero value is anonymous. At
// most one of Password, Bearer and Key is set.
type Credentials struct {
	Username string        // with Password
	Password secret.Secret // HTTP basic: a password or a token
	Token    bool          // Password is a token, for messages
	Bearer   secret.Secret // HTTP "Authorization: Bearer"
	Key      *Key          // ssh
}

// IsZero reports whether c is anonymous.
func (c Credentials) IsZero() bool {
	return c.Password.IsZero() && c.Bearer.IsZero() && c.Key == nil
}

// String names the kind of credentials and whose they are, never a value.
func (c Credentials) String() string {
	switch {
	case c.Key != nil:
		return "the ssh key " + c.Key.Fingerprint()
	case !c.Bearer.IsZero():
		return "the bearer token"
	case c.Token:
		return "the token"
	case !c.Password.IsZero():
		return "the password of user \"" + c.Username + "\""
	}
	return "no credentials"
}

// secrets lists the values that must not appear in any text.
func (c Credentials) secrets() []string {
	var l []string
	for _, s := range []secret.Secret{c.Password, c.Bearer} {
		if !s.IsZero() {
			l = append(l, s.Reveal())
		}
	}
	return l
}

// TLS configures https. The fields are paths of PEM files; empty ones mean
// the system's authorities and no client certificate.
type TLS struct {
	CAFile   string // only these authorities are trusted
	CertFile string
	KeyFile  string
}

// Spec asks for one ref.
type Spec struct {
	Source string // HEAD, a full ref name, or a commit hash
	Local  string // the ref that it is written to, overwriting what stands there
}

// Listing is what a repository offers.
type Listing struct {
	Head string            // the ref that HEAD points to, if the server says so
	Refs map[string]string // hash by ref name, HEAD included; tags as they are, not peeled
}

// Transport reaches repositories. It may be used from several goroutines, but
// only one call at a time may write to a local repository. Errors are *Fault,
// or the error of the context if that has been cancelled.
type Transport interface {
	// Name says which implementation it is, for logs.
	Name() string

	// List returns all refs. It may cost much on repositories with many refs.
	List(ctx context.Context, t Target) (Listing, error)

	// Fetch brings the refs that specs name, and all objects that they need,
	// into the bare repository at dir. If one of them does not exist the
	// Fault is of Kind RefMissing, names it, and nothing is written.
	Fetch(ctx context.Context, t Target, dir string, specs []Spec) error

	// Push moves one ref of the repository, with the objects that it needs,
	// which the bare repository at dir holds. If the ref is not what u says
	// it is, because somebody else was first, the Fault is of Kind Raced; if
	// the server does not want the change, of Kind Declined with the server's
	// words. After any other failure it is not known whether the ref has
	// moved.
	Push(ctx context.Context, t Target, dir string, u Update) error
}

// Update moves one ref. The server does it only if the ref is Old: nothing
// that somebody else has pushed is ever overwritten.
type Update struct {
	Ref string // full name
	Old string // hash that it has; "" if it must not exist
	New string // hash that it shall have
	// Objects are what New needs and Old's repository does not have. They are
	// in the local repository too, and a transport may find out by itself.
	Objects []plumbing.EncodedObject
}
