package remote

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
)

// schemeLife is how long the way to authenticate to a host is remembered. It is
// also learned anew from every 401.
const schemeLife = 24 * time.Hour

// scheme is how a registry wants to be authenticated to.
type scheme struct {
	kind    string // "basic", "bearer"
	realm   string // of bearer: URL of the token server
	service string
	actions string // on a repository, to ask a token for: "pull"
}

// expired is how ECR says with status 403 that a password is too old.
var expired = regexp.MustCompile(`(?i)authorization token has expired`)

// authorization is what one request carries.
type authorization struct {
	scheme scheme // zero: not known when the request went out
	header string // "" for none
	token  *tokenKey
	cached bool // the token was there before: it may be too old
}

// readScheme picks the scheme of an answer's challenges: a token is better than
// a password.
func readScheme(h http.Header) (scheme, bool) {
	challenges := parseChallenges(h)
	for _, c := range challenges {
		if c.scheme == "bearer" && c.params["realm"] != "" {
			return scheme{"bearer", c.params["realm"], c.params["service"], readActions(c.params["scope"])}, true
		}
	}
	if slices.ContainsFunc(challenges, func(c challenge) bool { return c.scheme == "basic" }) {
		return scheme{kind: "basic"}, true
	}
	return scheme{}, false
}

// readActions returns pull, and what the registry names beside it that reads
// no more than that: never what it names to write.
func readActions(scope string) string {
	if _, actions, ok := strings.Cut(scope[strings.LastIndexByte(scope, ' ')+1:], ":"); ok {
		for action := range strings.SplitSeq(actions[strings.LastIndexByte(actions, ':')+1:], ",") {
			if action == "metadata_read" {
				return "pull,metadata_read"
			}
		}
	}
	return "pull"
}

// authorize makes the authorization of a request, as far as is known what the
// host wants.
func (c *Client) authorize(ctx context.Context, t *target, cred credentials.Credential) (authorization, error) {
	s, ok := c.schemes.get(t.base.String())
	switch {
	case !ok:
		return authorization{}, nil
	case s.kind == "basic":
		auth := basic(cred)
		auth.scheme = s
		return auth, nil
	}
	key := tokenKey{
		host: t.req.Host, realm: s.realm, service: s.service, credential: cred.ID,
		scope: "repository:" + t.req.Repository + ":" + s.actions,
	}
	token, cached, err := c.token(ctx, t, key, cred)
	if err != nil {
		return authorization{}, err
	}
	return authorization{scheme: s, header: "Bearer " + token.Reveal(), token: &key, cached: cached}, nil
}

// basic is empty for an anonymous credential, and for an identity token, which
// is no password.
func basic(cred credentials.Credential) authorization {
	if cred.Password.IsZero() {
		return authorization{}
	}
	pair := cred.Username + ":" + cred.Password.Reveal()
	return authorization{header: "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
}

// secrets are the forms in which what was sent could come back in an answer.
func (a authorization) secrets(cred credentials.Credential) []string {
	_, value, _ := strings.Cut(a.header, " ")
	forms := []string{value}
	for _, s := range []string{cred.IdentityToken.Reveal(), cred.Password.Reveal()} {
		forms = append(forms, s, url.QueryEscape(s))
	}
	return slices.DeleteFunc(forms, func(s string) bool { return s == "" })
}
