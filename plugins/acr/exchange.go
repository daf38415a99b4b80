package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// refreshToken is what a registry gives for an access token of Azure.
type refreshToken struct {
	value   string
	life    time.Duration
	expires time.Time
}

const (
	// maxLife bounds what a token says of itself: real ones live for 3 hours.
	maxLife = 24 * time.Hour
	// assumedLife is the life of a token that says nothing.
	assumedLife = 10 * time.Minute
	// maxAnswer is larger than any answer with a token or a page of tags.
	maxAnswer = 8 << 20
)

// newRefreshToken gets one, and keeps it for Tags.
func (p *provider) newRefreshToken(ctx context.Context, host string) (refreshToken, error) {
	authority, _ := p.config.cloudOf(host)
	access, err := p.accessToken(ctx, authority)
	if err != nil {
		return refreshToken{}, err
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {access}}
	if tenant := cmp.Or(claimsOf(access).Tenant, p.config.TenantID, os.Getenv("AZURE_TENANT_ID")); tenant != "" {
		form.Set("tenant", tenant)
	}
	var answer struct {
		Token string `json:"refresh_token"`
	}
	x := p.toRegistry(host)
	if err := p.post(ctx, x, host, "/oauth2/exchange", form, &answer); err != nil {
		return refreshToken{}, fmt.Errorf("%s: %w", host, err)
	}
	if answer.Token == "" {
		return refreshToken{}, fmt.Errorf("%s: the answer to the exchange holds no refresh token", host)
	}
	life := claimsOf(answer.Token).life()
	t := refreshToken{answer.Token, life, time.Now().Add(life)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refresh[host] = t
	p.log.Debug("refresh token", "registry", host, "expires", t.expires)
	return t, nil
}

// keptRefreshToken returns the last one, unless it is about to expire.
func (p *provider) keptRefreshToken(ctx context.Context, host string) (refreshToken, error) {
	p.mu.Lock()
	t, ok := p.refresh[host]
	p.mu.Unlock()
	if ok && time.Until(t.expires) > t.life/10 {
		return t, nil
	}
	return p.newRefreshToken(ctx, host)
}

// registryToken gets an access token of the registry for one scope.
func (p *provider) registryToken(ctx context.Context, host, scope string) (string, error) {
	t, err := p.keptRefreshToken(ctx, host)
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "service": {host}, "scope": {scope}, "refresh_token": {t.value}}
	var answer struct {
		Token string `json:"access_token"`
	}
	x := p.toRegistry(host)
	err = p.post(ctx, x, host, "/oauth2/token", form, &answer)
	if x.status() == http.StatusUnauthorized {
		p.forget(host, t) // the next call starts anew
	}
	if err == nil && answer.Token == "" {
		err = errors.New("the answer holds no access token")
	}
	if err != nil {
		return "", &refusedError{x.status(), fmt.Errorf("%s: %s: %w", host, scope, err)}
	}
	return answer.Token, nil
}

func (p *provider) forget(host string, t refreshToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refresh[host] == t {
		delete(p.refresh, host)
	}
}

// refusedError keeps the status of a refusal beside its explanation.
type refusedError struct {
	status int // 0 without an answer
	error
}

func (e *refusedError) Unwrap() error { return e.error }

// toRegistry carries requests to a registry.
func (p *provider) toRegistry(host string) *exchange {
	return &exchange{base: p.remote, identity: p.config.identity(), registry: host}
}

// post sends a form to the registry and decodes the answer.
func (p *provider) post(ctx context.Context, x *exchange, host, path string, form url.Values, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base(host)+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := httpClient(x).Do(req)
	if err != nil {
		return x.explain(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	if resp.StatusCode != http.StatusOK {
		return x.explain(ctx, fmt.Errorf("the registry answered %s", resp.Status))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("the answer to POST %s is not JSON", path)
	}
	return nil
}

// base is the URL that the paths of a registry's own API follow.
func (p *provider) base(host string) string {
	return strings.TrimSuffix(cmp.Or(p.config.Endpoint, "https://"+host), "/")
}

// claims are what the payload of a token says. Nobody checks the signature
// here: it is good for nothing but to know when to ask again.
type claims struct {
	Tenant   string  `json:"tid"`
	IssuedAt float64 `json:"iat"`
	Expires  float64 `json:"exp"`
}

func claimsOf(token string) claims {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}
	}
	return c
}

// life is how long the token is valid from now on. It has just been issued, so
// that the difference of its times holds whatever this machine's clock says.
func (c claims) life() time.Duration {
	from := c.IssuedAt
	if from == 0 {
		from = float64(time.Now().Unix())
	}
	seconds := c.Expires - from
	if c.Expires == 0 || seconds <= 0 {
		return assumedLife
	}
	return time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))
}
