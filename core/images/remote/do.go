package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-gitops/sluice/core/credentials"
)

// do asks the registry for something, with the authorization that it wants:
//
//   - the first answer of a host may be a challenge, which is learned;
//   - a token that was kept may be too old, and is fetched anew once;
//   - a credential that is refused is rejected, and the one that the broker
//     gives next is tried once.
//
// The answer may have any status, but does not refuse the credential.
func (c *Client) do(ctx context.Context, t *target, k *call) (*answer, error) {
	cred, err := c.credential(ctx, t)
	if err != nil {
		return nil, err
	}
	for learned, renewed, replaced := false, false, false; ; {
		k.identity = cred.ID
		auth, a, err := c.attempt(ctx, t, k, cred)
		if err != nil && !hasStatus(err, http.StatusUnauthorized) {
			return nil, err
		}
		if err == nil {
			if !refused(a) {
				return a, nil
			}
			err = t.newError(k.asked, a)
			switch news := c.learn(t, a, auth); {
			case news && !learned:
				learned = true
				continue
			case auth.cached && !renewed:
				renewed = true
				c.tokens.forget(*auth.token, auth.header)
				continue
			case insufficient(a.header):
				return nil, err
			}
		}
		if replaced {
			return nil, err
		}
		replaced = true
		next, credErr := c.replace(ctx, t, cred)
		if credErr != nil {
			return nil, errors.Join(err, credErr)
		}
		if next.ID == "" && cred.ID == "" {
			return nil, err
		}
		cred, renewed = next, true
	}
}

// attempt authorizes and sends the call once. An error with status 401 is the
// token server's.
func (c *Client) attempt(ctx context.Context, t *target, k *call, cred credentials.Credential) (authorization, *answer, error) {
	var auth authorization
	if k.url.Host == t.base.Host { // and not where a listing goes on after a redirect
		var err error
		if auth, err = c.authorize(ctx, t, cred); err != nil {
			return auth, nil, err
		}
	}
	a, err := c.exchange(ctx, t, k, auth, cred)
	if a != nil && a.url.Host != t.base.Host {
		a.elsewhere = a.url.Host
	}
	return auth, a, err
}

// learn keeps the scheme of a challenge and reports whether the request did not
// go by it.
func (c *Client) learn(t *target, a *answer, auth authorization) bool {
	s, ok := readScheme(a.header)
	if ok {
		c.schemes.put(t.req.Host, s, schemeLife)
	}
	return ok && s != auth.scheme
}

// refused reports whether an answer says that the credential is not valid
// (any more). ECR says it with 403 where others say 401. An object store never
// saw it.
func refused(a *answer) bool {
	return a.elsewhere == "" && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden && expired.Match(a.body))
}

func (c *Client) credential(ctx context.Context, t *target) (credentials.Credential, error) {
	cred, err := c.opts.Credentials.Credential(ctx, t.req)
	if err != nil {
		return cred, fmt.Errorf("%s/%s: credentials: %w", t.req.Host, t.req.Repository, err)
	}
	return cred, nil
}

// replace rejects a credential, with all tokens made of it, and asks for
// another.
func (c *Client) replace(ctx context.Context, t *target, cred credentials.Credential) (credentials.Credential, error) {
	c.tokens.forgetAll(t.req.Host, cred.ID)
	c.opts.Credentials.Reject(ctx, t.req, cred)
	return c.credential(ctx, t)
}

// get fetches what must be there: any status but 2xx is an *Error.
func (c *Client) get(ctx context.Context, t *target, k *call) (*answer, error) {
	a, err := c.do(ctx, t, k)
	if err != nil {
		return nil, err
	}
	return a, t.check(k, a)
}

func (t *target) check(k *call, a *answer) error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	return t.newError(k.asked, a)
}
