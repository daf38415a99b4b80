package charts

import (
	"context"
	"errors"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// keys are the credentials for a repository of a registry: the user's own, or
// what the host gives. They are for one goroutine.
type keys struct {
	own     helm.Auth
	host    host.Services // nil: there is none
	request host.CredentialRequest

	user  string
	given secret.Secret // by the host: password or identity token
}

// keyless says that the host could not tell what to use.
type keyless struct{ error }

func (k *keyless) Unwrap() error { return k.error }

// credential is an auth.CredentialFunc.
func (k *keys) credential(ctx context.Context, _ string) (auth.Credential, error) {
	if k.own.Username != "" || !k.own.Password.IsZero() {
		return auth.Credential{Username: k.own.Username, Password: k.own.Password.Reveal()}, nil
	}
	if k.host == nil {
		return auth.EmptyCredential, nil
	}
	c, err := k.host.Credential(ctx, k.request)
	if errors.Is(err, host.ErrAnonymous) || errors.Is(err, host.ErrUnavailable) {
		return auth.EmptyCredential, nil
	}
	if err != nil {
		return auth.EmptyCredential, &keyless{err}
	}
	k.user, k.given = c.Username, c.Password
	if k.given.IsZero() {
		k.given = c.IdentityToken
	}
	return auth.Credential{Username: c.Username, Password: c.Password.Reveal(), RefreshToken: c.IdentityToken.Reveal()}, nil
}

// refusal is the answer of a server that wants credentials, or others.
type refusal struct{ answer, why string }

func (r *refusal) Error() string { return r.answer + ": " + r.why }
