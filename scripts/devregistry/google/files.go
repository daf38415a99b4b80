package google

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"
)

// writeFiles writes the credential files of every kind: service-account.json,
// external-account.json with its subject-token, external-account-reader.json,
// which impersonates ReaderAccount, impersonated.json, and
// authorized-user.json, for which the OAuth endpoint is at a fixed address.
func (g *Google) writeFiles() error {
	private, err := g.account.PEM()
	if err != nil {
		return err
	}
	account := map[string]any{
		"type": "service_account", "project_id": "devregistry", "private_key_id": g.account.ID, "private_key": private,
		"client_email": KeyAccount, "client_id": "1", "token_uri": g.base + "/token",
	}
	generate := g.base + "/v1/projects/-/serviceAccounts/" + ReaderAccount + ":generateAccessToken"
	external := func(impersonate string) map[string]any {
		m := map[string]any{
			"type": "external_account", "audience": provider, "subject_token_type": typeJWT, "token_url": g.base + "/v1/token",
			"credential_source": map[string]any{"file": g.subjectFile()},
		}
		if impersonate != "" {
			m["service_account_impersonation_url"] = impersonate
		}
		return m
	}
	for name, content := range map[string]any{
		"service-account.json":         account,
		"external-account.json":        external(""),
		"external-account-reader.json": external(generate),
		"impersonated.json": map[string]any{
			"type": "impersonated_service_account", "service_account_impersonation_url": generate, "source_credentials": account,
		},
		"authorized-user.json": map[string]any{
			"type": "authorized_user", "client_id": clientID, "client_secret": clientSecret, "refresh_token": g.refresh,
		},
	} {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(g.options.Dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return g.writeSubject(time.Hour)
}

func (g *Google) subjectFile() string { return filepath.Join(g.options.Dir, "subject-token") }

// writeSubject replaces the token file as a kubelet does, in one step.
func (g *Google) writeSubject(life time.Duration) error {
	token, err := g.subjectToken(audience, life)
	if err != nil {
		return err
	}
	next := g.subjectFile() + ".next"
	if err := os.WriteFile(next, []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, g.subjectFile())
}
