// Package signed makes and checks the JSON web tokens that clouds and their
// clients hand to each other.
package signed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Claims are those that every token has.
type Claims = jwt.Claims

// Key signs tokens. It is safe for concurrent use.
type Key struct {
	ID        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
	signer    jose.Signer
}

// NewKey makes a key that signs with ES256, and whose ID starts with name.
func NewKey(name string) (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return newKey(name, jose.ES256, private)
}

// NewRSAKey makes a key that signs with RS256, which takes a moment.
func NewRSAKey(name string) (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return newKey(name, jose.RS256, private)
}

func newKey(name string, a jose.SignatureAlgorithm, private crypto.Signer) (*Key, error) {
	k := &Key{ID: name + "-" + rand.Text(), algorithm: a, private: private}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: a, Key: jose.JSONWebKey{Key: private, KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	k.signer = signer
	return k, err
}

// Sign makes a token of claims: structs, and maps of string to any.
func (k *Key) Sign(claims ...any) (string, error) {
	b := jwt.Signed(k.signer)
	for _, c := range claims {
		b = b.Claims(c)
	}
	return b.Serialize()
}

// Verify decodes the claims of a token that the key has signed.
func (k *Key) Verify(token string, claims ...any) error {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{k.algorithm})
	if err != nil {
		return fmt.Errorf("not a JSON web token with %s", k.algorithm)
	}
	if id := parsed.Headers[0].KeyID; id != k.ID {
		return fmt.Errorf("unknown key %q", id)
	}
	if err := parsed.Claims(k.private.Public(), claims...); err != nil {
		return errors.New("invalid signature")
	}
	return nil
}

// PEM is the private key in PKCS#8.
func (k *Key) PEM() (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// New returns the claims of a token that is valid from now on, for life, which
// counts in whole seconds.
func New(issuer, subject, audience string, life time.Duration) Claims {
	now := time.Now()
	return Claims{
		Issuer: issuer, Subject: subject, Audience: jwt.Audience{audience}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(life)),
	}
}

// CheckTimes checks that a token has a life, which is now and not longer than
// longest.
func CheckTimes(c Claims, longest time.Duration) error {
	now := time.Now()
	from := c.IssuedAt
	if from == nil {
		from = c.NotBefore
	}
	switch {
	case c.Expiry == nil || from == nil:
		return errors.New("iat or exp is missing")
	case now.After(c.Expiry.Time()):
		return errors.New("the token has expired")
	case from.Time().After(now.Add(time.Second)):
		return errors.New("the token is of the future")
	case c.Expiry.Time().Sub(from.Time()) > longest:
		return fmt.Errorf("the token lives longer than %s", longest)
	}
	return nil
}
