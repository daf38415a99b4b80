package google

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// key signs JSON web tokens with RS256.
type key struct {
	id      string
	private *rsa.PrivateKey
	signer  jose.Signer
}

func newKey(id string) (*key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	k := &key{id: id + "-" + rand.Text(), private: private}
	k.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: private, KeyID: k.id}},
		(&jose.SignerOptions{}).WithType("JWT"))
	return k, err
}

func (k *key) sign(c jwt.Claims) (string, error) { return jwt.Signed(k.signer).Claims(c).Serialize() }

// verify returns the claims of a token that the key has signed.
func (k *key) verify(token string) (jwt.Claims, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return jwt.Claims{}, fmt.Errorf("not a JSON web token with RS256")
	}
	if id := parsed.Headers[0].KeyID; id != k.id {
		return jwt.Claims{}, fmt.Errorf("unknown key %q", id)
	}
	var c jwt.Claims
	if err := parsed.Claims(&k.private.PublicKey, &c); err != nil {
		return jwt.Claims{}, fmt.Errorf("invalid signature")
	}
	return c, nil
}

// pem is the private key as it stands in a service account's file.
func (k *key) pem() (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// times checks the lifetime of a token that must have one.
func times(c jwt.Claims, now time.Time, leeway, longest time.Duration) error {
	switch {
	case c.Expiry == nil || c.IssuedAt == nil:
		return fmt.Errorf("iat or exp is missing")
	case now.After(c.Expiry.Time().Add(leeway)):
		return fmt.Errorf("the token has expired")
	case c.IssuedAt.Time().After(now.Add(leeway + time.Second)):
		return fmt.Errorf("the token is of the future")
	case c.Expiry.Time().Sub(c.IssuedAt.Time()) > longest:
		return fmt.Errorf("the token lives longer than %s", longest)
	}
	return nil
}

func random() string { return rand.Text() }
