package azure

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

// certificate is the application's.
type certificate struct {
	public *rsa.PublicKey
	digest [sha256.Size]byte
	pem    []byte // with the key
}

func newCertificate() (*certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "devregistry application"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&out, b); err != nil {
			return nil, err
		}
	}
	return &certificate{&key.PublicKey, sha256.Sum256(der), out.Bytes()}, nil
}

// errNotMine says that an assertion is not signed with a certificate.
var errNotMine = errors.New("no certificate's digest in the header")

// verify returns the claims of an assertion that the certificate's key has
// signed.
func (c *certificate) verify(assertion string) (signed.Claims, error) {
	parsed, err := jwt.ParseSigned(assertion, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return signed.Claims{}, errors.New("the client assertion is not a JSON web token")
	}
	digest, ok := parsed.Headers[0].ExtraHeaders["x5t#S256"].(string)
	if !ok {
		return signed.Claims{}, errNotMine
	}
	// The library writes it with the letters of either form of base64.
	digest = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(digest), "=")
	if digest != base64.RawURLEncoding.EncodeToString(c.digest[:]) {
		return signed.Claims{}, errors.New("the key was not found")
	}
	var out signed.Claims
	if err := parsed.Claims(c.public, &out); err != nil {
		return signed.Claims{}, errors.New("the signature of the client assertion is invalid")
	}
	return out, nil
}
