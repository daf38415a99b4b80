package remote

import (
	"context"
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
	q := &question{c: c, t: t, call: k, cred: cred}
	for {
		if a, again, err := q.ask(ctx); !again {
			return a, err
		}
	}
}

// maxLearned allows for a way that was known and is wrong.
const maxLearned = 2

// question is a call on its way to an answer.
type question struct {
	c    *Client
	t    *target
	call *call
	cred credentials.Credential

	learned           int  // times that the way to authenticate was learned
	renewed, replaced bool // the token, the credential
}

// ask asks once. It says again if the next time goes out with something else.
func (q *question) ask(ctx context.Context) (a *answer, again bool, err error) {
	q.call.identity = q.cred.ID
	auth, err := q.authorize(ctx)
	if err != nil {
		again, err = q.withoutToken(ctx, err)
		return nil, again, err
	}
	a, err = q.c.exchange(ctx, q.t, q.call, auth, q.cred)
	if a != nil && a.url.Host != q.t.base.Host {
		a.elsewhere = a.url.Host
	}
	if err != nil || !refused(a) {
		return a, false, err
	}
	again, err = q.refused(ctx, auth, a)
	return nil, again, err
}

// authorize is nothing where a listing goes on at another host.
func (q *question) authorize(ctx context.Context) (authorization, error) {
	if q.call.url.Host != q.t.base.Host {
		return authorization{}, nil
	}
	return q.c.authorize(ctx, q.t, q.cred)
}

// withoutToken goes on after the token server gave none: it may refuse the
// credential, or not be the right one any more.
func (q *question) withoutToken(ctx context.Context, why error) (again bool, err error) {
	switch {
	case hasStatus(why, http.StatusUnauthorized):
		return q.replace(ctx, why)
	case q.learned > 0 || ctx.Err() != nil || IsThrottled(why) || IsUnauthorized(why):
		return false, why
	}
	q.c.schemes.drop(func(host string) bool { return host == q.t.base.String() })
	q.learned++
	return true, nil
}

// refused goes on after the registry refused what it got.
func (q *question) refused(ctx context.Context, auth authorization, a *answer) (again bool, err error) {
	err = q.t.newError(q.call.asked, a)
	switch news := q.learn(a, auth); {
	case news && q.learned < maxLearned:
		q.learned++
		return true, nil
	case auth.cached && !q.renewed:
		q.renewed = true
		q.c.tokens.forget(*auth.token, auth.header)
		return true, nil
	}
	return q.replace(ctx, err)
}

// learn keeps the scheme of a challenge and reports whether the request did not
// go by it.
func (q *question) learn(a *answer, auth authorization) bool {
	s, ok := readScheme(a.header)
	if ok {
		q.c.schemes.put(q.t.base.String(), s, schemeLife)
	}
	return ok && s != auth.scheme
}

// replace rejects the credential, with the tokens made of it, and goes on with
// another, unless that was done before or there is none. That a token was made,
// and does not suffice, is no better: whoever gives the credential may have
// another by now, and after it others are asked.
func (q *question) replace(ctx context.Context, why error) (again bool, err error) {
	if q.replaced {
		return false, why
	}
	q.replaced, q.renewed = true, true
	q.c.tokens.forgetFor(q.t.req.Host, q.t.req.Repository, q.cred.ID)
	q.c.opts.Credentials.Reject(ctx, q.t.req, q.cred)
	next, err := q.c.credential(ctx, q.t)
	if err != nil {
		return false, fmt.Errorf("%w; and there is no other: %w", why, err)
	}
	if next.ID == "" && q.cred.ID == "" {
		return false, why
	}
	q.cred = next
	return true, nil
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
