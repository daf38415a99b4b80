package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const (
	maxTokenBody     = 1 << 20
	defaultTokenLife = time.Minute // of the token specification
	maxTokenLife     = 24 * time.Hour
	tokenUse         = 0.8 // of a token's life
)

// tokenKey is what a token is for.
type tokenKey struct{ host, realm, service, scope, credential string }

// tokens keeps tokens, and fetches each once however many ask for it.
type tokens struct {
	kept *memory[tokenKey, secret.Secret]

	mu      sync.Mutex
	flights map[tokenKey]*flight
}

type flight struct {
	done  chan struct{} // closed when the fields below are set
	token secret.Secret
	err   error
}

// get returns a kept token, or what fetch returns. A caller that gives up while
// it fetches does not fail those who wait for it: one of them fetches.
func (ts *tokens) get(ctx context.Context, key tokenKey, fetch func() (secret.Secret, time.Duration, error)) (token secret.Secret, cached bool, err error) {
	for {
		ts.mu.Lock()
		if token, ok := ts.kept.get(key); ok {
			ts.mu.Unlock()
			return token, true, nil
		}
		f, flying := ts.flights[key]
		if !flying {
			f = &flight{done: make(chan struct{})}
			ts.flights[key] = f
		}
		ts.mu.Unlock()
		if !flying {
			ts.fly(key, f, fetch)
			return f.token, false, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return secret.Secret{}, false, context.Cause(ctx)
		}
		if !errors.Is(f.err, context.Canceled) && !errors.Is(f.err, context.DeadlineExceeded) {
			return f.token, false, f.err
		}
	}
}

func (ts *tokens) fly(key tokenKey, f *flight, fetch func() (secret.Secret, time.Duration, error)) {
	var life time.Duration
	f.token, life, f.err = fetch()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if f.err == nil {
		ts.kept.put(key, f.token, life)
	}
	delete(ts.flights, key)
	close(f.done)
}

// forget drops one token, unless it was replaced since.
func (ts *tokens) forget(key tokenKey, header string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if token, ok := ts.kept.get(key); ok && "Bearer "+token.Reveal() == header {
		ts.kept.drop(func(k tokenKey) bool { return k == key })
	}
}

// forgetFor drops what was made with a credential for a repository.
func (ts *tokens) forgetFor(host, repository, credential string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.kept.drop(func(k tokenKey) bool {
		return k.host == host && k.credential == credential && strings.HasPrefix(k.scope, "repository:"+repository+":")
	})
}

// token returns a token of the token server that key names.
func (c *Client) token(ctx context.Context, t *target, key tokenKey, cred credentials.Credential) (secret.Secret, bool, error) {
	return c.tokens.get(ctx, key, func() (secret.Secret, time.Duration, error) {
		return c.fetchToken(ctx, t, key, cred)
	})
}

func (c *Client) fetchToken(ctx context.Context, t *target, key tokenKey, cred credentials.Credential) (secret.Secret, time.Duration, error) {
	none := secret.Secret{}
	realm, err := url.Parse(key.realm)
	if err != nil || realm.Host == "" || realm.User != nil {
		return none, 0, fmt.Errorf("%s: the realm of its challenge is not a URL of a token server", t.req.Host)
	}
	if err := t.mayTalkTo(realm); err != nil {
		return none, 0, err
	}
	call := tokenCall(realm, key, cred)
	auth := authorization{}
	if cred.IdentityToken.IsZero() {
		auth = basic(cred)
	}
	start := time.Now() // a token may be as old as its request
	a, err := c.exchange(ctx, t, call, auth, cred)
	if err != nil {
		return none, 0, err
	}
	if a.status != http.StatusOK {
		return none, 0, t.newError(call.asked, a)
	}
	token, life, err := readToken(a.body, a.header)
	if err != nil {
		return none, 0, fmt.Errorf("%s/%s: %s: %w", t.req.Host, t.req.Repository, call.asked, err)
	}
	return token, time.Duration(tokenUse*float64(life)) - time.Since(start), nil
}

// tokenCall asks with GET, or with the form of OAuth2 for an identity token.
func tokenCall(realm *url.URL, key tokenKey, cred credentials.Credential) *call {
	u := *realm
	q := u.Query()
	k := &call{method: http.MethodGet, url: &u, max: maxTokenBody, class: limit.Counted, asked: "a token of " + realm.Host, identity: key.credential}
	if key.service != "" {
		q.Set("service", key.service)
	}
	q.Set("scope", key.scope)
	if cred.IdentityToken.IsZero() {
		if cred.Username != "" && !cred.Password.IsZero() {
			q.Set("account", cred.Username)
		}
		u.RawQuery = q.Encode()
		return k
	}
	u.RawQuery = ""
	q.Set("grant_type", "refresh_token")
	q.Set("refresh_token", cred.IdentityToken.Reveal())
	q.Set("client_id", "sluice")
	k.method, k.form = http.MethodPost, q.Encode()
	return k
}

// readToken reads a token and how long it lives from now.
func readToken(body []byte, h http.Header) (secret.Secret, time.Duration, error) {
	var r struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   float64   `json:"expires_in"`
		IssuedAt    laxerTime `json:"issued_at"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return secret.Secret{}, 0, errors.New("the answer is not JSON of the expected form")
	}
	token := strings.TrimSpace(r.Token)
	if token == "" {
		token = strings.TrimSpace(r.AccessToken)
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return secret.Secret{}, 0, errors.New("the answer holds no token")
	}
	life := defaultTokenLife
	if r.ExpiresIn > 0 {
		life = time.Duration(min(r.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second))
	}
	// By the server's own clock, so that it does not matter if ours is wrong.
	if now, err := http.ParseTime(h.Get("Date")); err == nil && !r.IssuedAt.IsZero() {
		life -= max(now.Sub(r.IssuedAt.Time), 0)
	}
	return secret.New(token), life, nil
}

// laxerTime is a time that is zero where it is not one.
type laxerTime struct{ time.Time }

// UnmarshalJSON never fails: the field is optional, and some servers write
// other forms.
func (t *laxerTime) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		t.Time, _ = time.Parse(time.RFC3339, s)
	}
	return nil
}
