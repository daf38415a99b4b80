// Package token makes and checks the JSON web tokens of the docker token
// protocol.
package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Service is the name of the registry in challenges, and the audience of tokens.
const Service = "devregistry"

// Access is what a token allows to do with one repository.
type Access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// ParseScope parses "repository:a/b:pull,push". The name may hold colons, as
// one with a host and port does.
func ParseScope(scope string) (Access, error) {
	typ, rest, ok := strings.Cut(scope, ":")
	i := strings.LastIndex(rest, ":")
	if !ok || i <= 0 {
		return Access{}, fmt.Errorf("%q is not a scope", scope)
	}
	return Access{Type: typ, Name: rest[:i], Actions: strings.Split(rest[i+1:], ",")}, nil
}

// Answer is what the token endpoint says. Both names of the token are in use.
type Answer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"` // seconds
	IssuedAt    time.Time `json:"issued_at"`
}

// Issuer makes tokens. It is safe for concurrent use.
type Issuer struct {
	key    *ecdsa.PrivateKey
	signer jose.Signer
	life   time.Duration
}

type claims struct {
	jwt.Claims
	Access []Access `json:"access"`
}

// NewIssuer makes an issuer with a key of its own, whose tokens are valid for
// life.
func NewIssuer(life time.Duration) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	return &Issuer{key: key, signer: signer, life: life}, nil
}

// Issue makes a token for user that allows access.
func (i *Issuer) Issue(user string, access []Access) (Answer, error) {
	now := time.Now().UTC()
	signed, err := jwt.Signed(i.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: Service, Subject: user, Audience: jwt.Audience{Service}, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(i.life + time.Second - 1)), // whole seconds, and not before ExpiresIn is over
		},
		Access: access,
	}).Serialize()
	if err != nil {
		return Answer{}, err
	}
	return Answer{Token: signed, AccessToken: signed, ExpiresIn: int(i.life / time.Second), IssuedAt: now.Truncate(time.Second)}, nil
}

// Verify reports whether serialized is a token of this issuer that has not
// expired and allows to do action with repository. Any valid token will do
// without a repository.
func (i *Issuer) Verify(serialized, repository, action string) bool {
	parsed, err := jwt.ParseSigned(serialized, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return false
	}
	var c claims
	if err := parsed.Claims(&i.key.PublicKey, &c); err != nil {
		return false
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: Service, AnyAudience: jwt.Audience{Service}, Time: time.Now()}, 0); err != nil {
		return false
	}
	return repository == "" || slices.ContainsFunc(c.Access, func(a Access) bool {
		return a.Name == repository && slices.Contains(a.Actions, action)
	})
}
