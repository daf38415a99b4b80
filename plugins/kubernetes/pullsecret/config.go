package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// fields are what an entry may say. An entry that is no JSON of this form has
// err in place of them.
type fields struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`

	err error
}

// parse returns the entries of a docker configuration that say anything:
// {"auths": {KEY: ENTRY}}, or the older {KEY: ENTRY}. What JSON's own errors
// say is left out, since they quote.
func parse(content []byte) (map[string]fields, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(content, &top); err != nil {
		return nil, errors.New("its content is not a JSON object")
	}
	if auths, modern := top["auths"]; modern {
		top = nil
		if err := json.Unmarshal(auths, &top); err != nil {
			return nil, errors.New("auths in it is not a JSON object")
		}
	}
	entries := map[string]fields{}
	for key, raw := range top {
		var f fields
		if len(raw) == 0 || raw[0] != '{' {
			continue // null, or another setting of docker's, as credsStore
		}
		if err := json.Unmarshal(raw, &f); err != nil {
			f = fields{err: errors.New("one of its values is not a string")}
		}
		if f != (fields{}) {
			entries[key] = f
		}
	}
	return entries, nil
}

// credential reads an entry. An identity token goes before auth, and auth
// before username and password, as with docker and the kubelet.
func (f fields) credential() (registry.Credential, error) {
	if f.err != nil {
		return registry.Credential{}, f.err
	}
	user, password := f.Username, f.Password
	if strings.TrimSpace(f.Auth) != "" {
		var err error
		if user, password, err = decodeAuth(f.Auth); err != nil {
			return registry.Credential{}, err
		}
	}
	c := registry.Credential{Username: user}
	switch {
	case f.IdentityToken != "":
		c.IdentityToken = secret.New(f.IdentityToken)
	case password != "":
		c.Password = secret.New(password)
	case f.RegistryToken != "":
		return registry.Credential{}, errors.New("it has a registrytoken only, which is no lasting credential")
	default:
		return registry.Credential{}, errors.New("it has no password")
	}
	if !utf8.ValidString(user) || !utf8.ValidString(password) {
		return registry.Credential{}, errors.New("its user name or password is not text in UTF-8")
	}
	return c, nil
}

// decodeAuth reads base64 of user:password. People make it with tools that
// wrap it, leave out its padding, or encode a line end with it.
func decodeAuth(auth string) (user, password string, err error) {
	auth = strings.TrimRight(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, auth), "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(auth, "-_") {
		encoding = base64.RawURLEncoding
	}
	decoded, err := encoding.DecodeString(auth)
	if err != nil {
		return "", "", errors.New("its auth is not base64")
	}
	user, password, has := strings.Cut(string(decoded), ":")
	if !has {
		return "", "", errors.New("its auth is not base64 of user:password")
	}
	return user, strings.TrimRight(strings.Trim(password, "\x00"), "\r\n"), nil
}
