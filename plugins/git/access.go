package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Keys of the Secret that ssh.key_secret names.
const (
	secretIdentity   = "identity"
	secretKnownHosts = "known_hosts"
)

// access knows how to reach the repository of one source. Keys that stand
// outside the configuration are read when they are needed first, and again
// when the server has refused them.
type access struct {
	config  Config
	address remote.Address
	host    sdk.Host

	mu         sync.Mutex
	key        *remote.Key // nil: to be read
	knownHosts string      // from the Secret
}

// identity stands for all that decides how the server is reached, by whom, and
// whether it is trusted: sources share a mirror, and so each other's
// exchanges, only if they agree in everything but what they follow. It is only
// ever hashed.
func (a *access) identity() string {
	c := a.config
	parts := []string{a.address.User, c.Transport, c.StallTimeout.String()}
	if c.Auth != nil {
		parts = append(parts, "auth", c.Auth.Username, c.Auth.Password.Reveal(), c.Auth.Token.Reveal(), c.Auth.Bearer.Reveal())
	}
	if c.SSH != nil {
		parts = append(parts, "ssh", c.SSH.Key.Reveal(), c.SSH.KeyFile, c.SSH.KeySecret, c.SSH.Passphrase.Reveal(), c.SSH.KnownHosts, c.SSH.KnownHostsFile)
	}
	if c.TLS != nil {
		parts = append(parts, "tls", c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile)
	}
	return fmt.Sprintf("%q", parts)
}

// target returns the repository with credentials; fresh reads them anew.
func (a *access) target(ctx context.Context, fresh bool) (remote.Target, error) {
	t := remote.Target{Address: a.address, Stall: a.config.StallTimeout}
	if c := a.config.Auth; c != nil {
		t.Credentials = a.httpCredentials(c)
	}
	if c := a.config.TLS; c != nil {
		t.TLS = remote.TLS{CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile}
	}
	if a.config.SSH == nil {
		return t, nil
	}
	return t, a.addSSH(ctx, &t, fresh)
}

func (a *access) httpCredentials(c *Auth) remote.Credentials {
	user := c.Username
	if user == "" {
		user = a.address.User
	}
	if user == "" {
		user = tokenUser(a.address.Host)
	}
	trim := func(s secret.Secret) secret.Secret { return secret.New(strings.TrimRight(s.Reveal(), "\r\n")) }
	switch {
	case !c.Bearer.IsZero():
		return remote.Credentials{Bearer: trim(c.Bearer)}
	case !c.Token.IsZero():
		return remote.Credentials{Username: user, Password: trim(c.Token), Token: true}
	}
	return remote.Credentials{Username: user, Password: trim(c.Password)}
}

// tokenUser is the user name under which a forge takes a token as password.
// Most take any.
func tokenUser(host string) string {
	switch {
	case host == "bitbucket.org":
		return "x-token-auth"
	case strings.HasPrefix(host, "gitlab."):
		return "oauth2"
	}
	return "x-access-token"
}

func (a *access) addSSH(ctx context.Context, t *remote.Target, fresh bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.key == nil || fresh {
		if err := a.readKey(ctx); err != nil {
			return err
		}
	}
	t.Credentials.Key = a.key
	lines := []string{a.config.SSH.KnownHosts, a.knownHosts}
	if path := a.config.SSH.KnownHostsFile; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return diag.Errorf(diag.Attr("ssh", "known_hosts_file"), "%s", err)
		}
		lines = append(lines, string(text))
	}
	t.KnownHosts = strings.Join(lines, "\n")
	return nil
}

// readKey reads the private key from where the configuration says. The caller
// holds the lock.
func (a *access) readKey(ctx context.Context) error {
	c := a.config.SSH
	text, at := c.Key, "key"
	switch {
	case c.KeyFile != "":
		b, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return diag.Errorf(diag.Attr("ssh", "key_file"), "%s", err)
		}
		text, at = secret.New(string(b)), "key_file"
	case c.KeySecret != "":
		var err error
		if text, err = a.readSecret(ctx); err != nil {
			return err
		}
		at = "key_secret"
	}
	key, err := remote.ParseKey(text, c.Passphrase)
	if err != nil {
		return diag.Errorf(diag.Attr("ssh", at), "%s", err)
	}
	a.key = key
	return nil
}

// readSecret asks the host for the Secret's private key, and its known hosts
// if it has any.
func (a *access) readSecret(ctx context.Context) (secret.Secret, error) {
	ref := host.SecretRef{Name: a.config.SSH.KeySecret, Key: secretIdentity}
	if namespace, name, ok := strings.Cut(ref.Name, "/"); ok {
		ref.Namespace, ref.Name = namespace, name
	}
	key, err := a.host.ReadSecret(ctx, ref)
	if errors.Is(err, host.ErrNoSecret) {
		d := diag.Errorf(diag.Attr("ssh", "key_secret"), "there is no Secret %q with the key %q", a.config.SSH.KeySecret, secretIdentity)
		d.Detail = fmt.Sprintf("Create it: kubectl create secret generic %s --from-file=%s=PRIVATE_KEY_FILE", ref.Name, secretIdentity)
		return secret.Secret{}, d
	}
	if err != nil {
		return secret.Secret{}, fmt.Errorf("read Secret %q: %w", a.config.SSH.KeySecret, err)
	}
	ref.Key = secretKnownHosts
	hosts, err := a.host.ReadSecret(ctx, ref)
	if err != nil && !errors.Is(err, host.ErrNoSecret) {
		return secret.Secret{}, fmt.Errorf("read Secret %q: %w", a.config.SSH.KeySecret, err)
	}
	a.knownHosts = hosts.Reveal()
	return key, nil
}
