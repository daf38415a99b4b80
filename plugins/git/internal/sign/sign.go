// Package sign makes the signatures that git verifies: with an ssh key, as
// gpg.format=ssh has it, or with an OpenPGP key. Keys are held in memory only;
// no program is run.
package sign

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Signer makes armored detached signatures.
type Signer func(payload []byte) (string, error)

// New reads a private key: an armored OpenPGP one, or one in OpenSSH or PEM
// format. passphrase may be empty.
func New(key, passphrase secret.Secret) (Signer, error) {
	if strings.Contains(key.Reveal(), "-----BEGIN PGP PRIVATE KEY BLOCK-----") {
		return newOpenPGP(key, passphrase)
	}
	k, err := remote.ParseKey(key, passphrase)
	if err != nil {
		return nil, err
	}
	return func(payload []byte) (string, error) { return signSSH(k.Signer(), payload) }, nil
}

func newOpenPGP(key, passphrase secret.Secret) (Signer, error) {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(key.Reveal()))
	if err != nil || len(ring) != 1 || ring[0].PrivateKey == nil {
		// The parser's words may quote the input.
		return nil, errors.New("the OpenPGP key cannot be read: expected one armored private key (gpg --export-secret-keys --armor)")
	}
	e := ring[0]
	if e.PrivateKey.Encrypted {
		if passphrase.IsZero() {
			return nil, errors.New("the OpenPGP key is protected: set passphrase")
		}
		if err := e.DecryptPrivateKeys([]byte(passphrase.Reveal())); err != nil {
			return nil, errors.New("the passphrase does not open the OpenPGP key")
		}
	}
	return func(payload []byte) (string, error) {
		var b strings.Builder
		if err := openpgp.ArmoredDetachSign(&b, e, bytes.NewReader(payload), nil); err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		return b.String() + "\n", nil
	}, nil
}

// The parts of a signature as PROTOCOL.sshsig of OpenSSH has them.
const (
	sshMagic     = "SSHSIG"
	sshNamespace = "git"
	sshHash      = "sha512"
)

func signSSH(signer ssh.Signer, payload []byte) (string, error) {
	sum := sha512.Sum512(payload)
	signed := append([]byte(sshMagic), ssh.Marshal(struct{ Namespace, Reserved, Hash, Sum string }{sshNamespace, "", sshHash, string(sum[:])})...)
	signature, err := signBytes(signer, signed)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	blob := append([]byte(sshMagic), ssh.Marshal(struct {
		Version                                   uint32
		Key, Namespace, Reserved, Hash, Signature string
	}{1, string(signer.PublicKey().Marshal()), sshNamespace, "", sshHash, string(ssh.Marshal(signature))})...)
	return armor(blob), nil
}

// signBytes avoids the SHA-1 that RSA keys use by default.
func signBytes(signer ssh.Signer, data []byte) (*ssh.Signature, error) {
	if s, ok := signer.(ssh.AlgorithmSigner); ok && signer.PublicKey().Type() == ssh.KeyAlgoRSA {
		return s.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
	}
	return signer.Sign(rand.Reader, data)
}

func armor(blob []byte) string {
	const width = 70
	var b strings.Builder
	b.WriteString("-----BEGIN SSH SIGNATURE-----\n")
	for text := base64.StdEncoding.EncodeToString(blob); text != ""; {
		n := min(width, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END SSH SIGNATURE-----\n")
	return b.String()
}
