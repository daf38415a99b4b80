package aws

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Files that a pod would find mounted.
const (
	webTokenFile = "irsa-token"
	podTokenFile = "pod-identity-token"
)

const (
	issuerURL    = "https://oidc.eks.eu-west-1.amazonaws.com/id/DEVREGISTRY"
	subject      = "system:serviceaccount:sluice-system:sluice"
	stsAudience  = "sts.amazonaws.com"
	podsAudience = "pods.eks.amazonaws.com"
	fileLife     = 24 * time.Hour
)

// issuer is the cluster's: it signs the tokens in the files, and checks them.
type issuer struct {
	dir string
	mu  sync.Mutex
	key *rsa.PrivateKey
	id  string
}

// claims are what a token says.
type claims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Subject  string `json:"sub"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

func newIssuer(dir string) (*issuer, error) {
	i := &issuer{dir: dir}
	return i, i.rotate()
}

// rotate makes a new key and writes new tokens, as the kubelet does. Tokens of
// the old key are no longer taken.
func (i *issuer) rotate() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	i.mu.Lock()
	i.key, i.id = key, random(8)
	i.mu.Unlock()
	for name, audience := range map[string]string{webTokenFile: stsAudience, podTokenFile: podsAudience} {
		now := time.Now()
		token, err := i.sign(claims{issuerURL, audience, subject, now.Unix(), now.Add(fileLife).Unix(), random(8)})
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(i.dir, name), token); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file that nobody sees half written.
func replaceFile(name, content string) error {
	if err := os.WriteFile(name+".new", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (i *issuer) sign(c claims) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	header := fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"JWT"}`, i.id)
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

const errExpired words = "Token expired: current date/time must be before the expiration date/time"

// verify checks a token. An error is what AWS would say.
func (i *issuer) verify(token, audience string, now time.Time) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, words("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	var header struct{ Alg, Kid string }
	if err := decodePart(parts[0], &header); err != nil {
		return c, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return c, err
	}
	if err := decodePart(parts[1], &c); err != nil {
		return c, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case c.Issuer != issuerURL:
		return c, words("No OpenIDConnect provider found in your account for " + c.Issuer)
	case header.Alg != "RS256" || header.Kid != i.id:
		return c, words("Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements")
	case rsa.VerifyPKCS1v15(&i.key.PublicKey, crypto.SHA256, sum[:], signature) != nil:
		return c, words("Invalid token signature")
	case c.Audience != audience:
		return c, words("Incorrect token audience")
	case now.After(time.Unix(c.Expires, 0)):
		return c, errExpired
	}
	return c, nil
}

func decodePart(part string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return fmt.Errorf("the token is not base64: %w", err)
	}
	return json.Unmarshal(text, into)
}
