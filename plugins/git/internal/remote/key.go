package remote

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Key is a private ssh key, held in memory only.
type Key struct {
	private any // as ssh.ParseRawPrivateKey returns it
	signer  ssh.Signer
}

// ParseKey reads a private key in OpenSSH or PEM format. passphrase may be
// empty.
func ParseKey(text, passphrase secret.Secret) (*Key, error) {
	// Copies from secrets stores often lack the last newline, or have \r\n.
	pem := []byte(strings.TrimSpace(strings.ReplaceAll(text.Reveal(), "\r\n", "\n")) + "\n")
	var private any
	var err error
	if passphrase.IsZero() {
		private, err = ssh.ParseRawPrivateKey(pem)
	} else {
		private, err = ssh.ParseRawPrivateKeyWithPassphrase(pem, []byte(passphrase.Reveal()))
	}
	if _, missing := errors.AsType[*ssh.PassphraseMissingError](err); missing {
		return nil, errors.New("the ssh key is protected: set passphrase")
	}
	if err != nil {
		// The parser's words may quote the input.
		return nil, errors.New("the ssh key cannot be read: expected a private key in OpenSSH or PEM format (and the right passphrase, if it has one)")
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("ssh key of type %T is not supported", private)
	}
	return &Key{private: private, signer: signer}, nil
}

// Fingerprint names the key as servers and ssh-keygen do.
func (k *Key) Fingerprint() string { return ssh.FingerprintSHA256(k.signer.PublicKey()) }

// Signer makes signatures with the key.
func (k *Key) Signer() ssh.Signer { return k.signer }

// authorized is the public half as a line of authorized_keys.
func (k *Key) authorized() []byte { return ssh.MarshalAuthorizedKey(k.signer.PublicKey()) }
