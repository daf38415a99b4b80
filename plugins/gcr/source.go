package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
)

// scope is what Google's registries and the IAM API both accept.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// token is an access token, and for messages where it came from.
type token struct {
	source  string
	value   string
	expires time.Time
}

// token gets a token from the first source that is configured. There is no way
// on from one that fails: what answers must not depend on what happens to work.
func (p *provider) token(ctx context.Context) (token, error) {
	file, origin := p.credentialFile()
	if file == "" {
		t, err := p.metadata.token(ctx, p.config.Impersonate != "")
		if err != nil || p.config.Impersonate == "" {
			return t, err
		}
		return p.impersonate(ctx, t, defaultUniverse)
	}
	t, universe, err := p.fileToken(ctx, file)
	if err != nil {
		return token{}, fmt.Errorf("%s %q: %w", origin, file, err)
	}
	t.source = fmt.Sprintf("%s %q", origin, file)
	if p.config.Impersonate == "" {
		return t, nil
	}
	return p.impersonate(ctx, t, universe)
}

// credentialFile is the file that stands in the configuration or where
// Google's own programs look for one, and what to call it in messages.
func (p *provider) credentialFile() (file, origin string) {
	if p.config.KeyFile != "" {
		return p.config.KeyFile, "key_file"
	}
	if file := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); file != "" {
		return file, "file of GOOGLE_APPLICATION_CREDENTIALS"
	}
	dir := os.Getenv("CLOUDSDK_CONFIG")
	if home := os.Getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config", "gcloud")
	}
	if dir == "" {
		return "", ""
	}
	file = filepath.Join(dir, "application_default_credentials.json")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", ""
	}
	return file, "gcloud's application default credentials"
}

// credentialTypes are the files that lead to an access token.
var credentialTypes = map[credentials.CredType]bool{
	credentials.ServiceAccount:                true,
	credentials.AuthorizedUser:                true,
	credentials.ExternalAccount:               true,
	credentials.ExternalAccountAuthorizedUser: true,
	credentials.ImpersonatedServiceAccount:    true,
}

// fileToken reads the credential file, which may have changed since the last
// time, and exchanges what is in it. universe is the cloud that it belongs to.
func (p *provider) fileToken(ctx context.Context, file string) (t token, universe string, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err
		}
		return token{}, "", fmt.Errorf("cannot be read: %w", err)
	}
	var head struct {
		Type  credentials.CredType `json:"type"`
		Email string               `json:"client_email"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return token{}, "", errors.New("is not JSON: a credential file is what `gcloud iam service-accounts keys create` writes, not the key alone")
	}
	if !credentialTypes[head.Type] {
		return token{}, "", fmt.Errorf("has the type %q, which leads to no access token: use a service account key, a workload identity federation configuration, or the application default credentials of gcloud", head.Type)
	}
	x := &exchange{base: p.transport, kind: string(head.Type), account: head.Email}
	c, err := credentials.NewCredentialsFromJSON(head.Type, content, &credentials.DetectOptions{
		Scopes:              []string{scope},
		DisableAsyncRefresh: true,
		Client:              &http.Client{Transport: x},
		// A logger of the SDK's own would write tokens to standard error, if
		// an environment variable says so.
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return token{}, "", fmt.Errorf("is broken: %w", scrubbed(err))
	}
	at, err := c.Token(ctx)
	if err != nil {
		return token{}, "", x.explain(ctx, err)
	}
	universe, err = c.UniverseDomain(ctx)
	return token{value: at.Value, expires: expiry(at)}, universe, err
}

// assumedLife is the life of a token whose server does not tell.
const assumedLife = 5 * time.Minute

func expiry(t *auth.Token) time.Time {
	if t.Expiry.IsZero() {
		return time.Now().Add(assumedLife)
	}
	return t.Expiry
}
