// Package authfile reads docker's configuration file, config.json, as far as it
// is about credentials: also the auth.json of podman, and the older .dockercfg.
//
// No error repeats anything that a file holds, but for the names of registries.
package authfile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/pattern"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// maxSize bounds a file. Those in use have some kilobytes.
const maxSize = 4 << 20

// File is a parsed file. The zero File knows nothing.
type File struct {
	entries []entry // most specific first
	helpers []helper
	store   string
	skipped []string
}

// Credential is what an entry holds.
type Credential struct {
	Username      string
	Password      secret.Secret
	IdentityToken secret.Secret
}

// IsZero reports whether there is nothing to authenticate with.
func (c Credential) IsZero() bool { return c.Password.IsZero() && c.IdentityToken.IsZero() }

type entry struct {
	key     string
	pattern pattern.Pattern
	value   Credential
	err     error
}

type helper struct {
	pattern pattern.Pattern
	name    string
}

// Read reads the file at path. Its error names path.
func Read(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	switch {
	case err != nil:
		return File{}, err // names the path
	case len(content) > maxSize:
		return File{}, fmt.Errorf("%s: larger than %d MiB", path, maxSize>>20)
	}
	file, err := Parse(content)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// rawEntry is one value of auths.
type rawEntry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// Parse reads the content of a file: a configuration with auths, credHelpers
// and credsStore, or the bare map of .dockercfg.
func Parse(content []byte) (File, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(content, &top); err != nil {
		return File{}, describe(content, err)
	}
	var f File
	auths := map[string]json.RawMessage{}
	if isBare(top) {
		auths = top
	} else if err := field(top, "auths", &auths); err != nil {
		return File{}, err
	}
	helpers := map[string]string{}
	if err := errors.Join(field(top, "credHelpers", &helpers), field(top, "credsStore", &f.store)); err != nil {
		return File{}, err
	}
	for _, key := range slices.Sorted(maps.Keys(auths)) {
		f.addEntry(key, auths[key])
	}
	for _, key := range slices.Sorted(maps.Keys(helpers)) {
		f.addHelper(key, helpers[key])
	}
	slices.SortStableFunc(f.entries, func(a, b entry) int { return pattern.Compare(a.pattern, b.pattern) })
	slices.SortStableFunc(f.helpers, func(a, b helper) int { return pattern.Compare(a.pattern, b.pattern) })
	return f, nil
}

// isBare reports whether a file is a .dockercfg: a map by registry, in which
// every value is an object with credentials.
func isBare(top map[string]json.RawMessage) bool {
	for _, value := range top {
		var e struct {
			Auth     *string `json:"auth"`
			Username *string `json:"username"`
		}
		if json.Unmarshal(value, &e) != nil || (e.Auth == nil && e.Username == nil) {
			return false
		}
	}
	return len(top) > 0
}

// field decodes one field of the file, which may be absent or null.
func field[T any](top map[string]json.RawMessage, name string, into *T) error {
	value, ok := top[name]
	if !ok || bytes.Equal(value, []byte("null")) {
		return nil
	}
	if json.Unmarshal(value, into) != nil { // whose error may repeat the value
		return fmt.Errorf("%q is not what docker writes there", name)
	}
	return nil
}

func (f *File) addEntry(key string, value json.RawMessage) {
	p, err := pattern.Parse(key)
	if err != nil {
		f.skipped = append(f.skipped, fmt.Sprintf("auths: %q is left out: %s", key, err))
		return
	}
	e := entry{key: key, pattern: p}
	if e.value, err = parseEntry(value); err != nil {
		e.err = fmt.Errorf("auths: %q: %w", key, err)
	}
	if e.err != nil || !e.value.IsZero() { // docker leaves {} where a store has the credential
		f.entries = append(f.entries, e)
	}
}

func (f *File) addHelper(key, name string) {
	p, err := pattern.Parse(key)
	if err != nil {
		f.skipped = append(f.skipped, fmt.Sprintf("credHelpers: %q is left out: %s", key, err))
		return
	}
	f.helpers = append(f.helpers, helper{p, name})
}

func parseEntry(value json.RawMessage) (Credential, error) {
	var raw rawEntry
	if json.Unmarshal(value, &raw) != nil { // whose error may repeat the value
		return Credential{}, errors.New("it is no object with strings")
	}
	if raw.Auth != "" {
		var err error
		if raw.Username, raw.Password, err = decodeAuth(raw.Auth); err != nil {
			return Credential{}, err
		}
	}
	c := Credential{Username: raw.Username, Password: secret.New(raw.Password), IdentityToken: secret.New(raw.IdentityToken)}
	if c.IsZero() && raw.RegistryToken != "" {
		return Credential{}, errors.New("it has only a registrytoken, which no registry gives out for longer than minutes; log in with a password or identity token")
	}
	return c, nil
}

// decodeAuth reads base64 of "user:password". Some tools leave out the padding,
// or break lines; old versions of docker padded the password with zeros.
func decodeAuth(auth string) (username, password string, err error) {
	compact := strings.Join(strings.Fields(auth), "")
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(compact, "="))
	if err != nil {
		return "", "", errors.New("auth is not base64")
	}
	username, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", "", errors.New("auth is not base64 of user:password")
	}
	if !utf8.ValidString(username) {
		return "", "", errors.New("the user name in auth is not text in UTF-8")
	}
	return username, strings.Trim(password, "\x00"), nil
}

// Lookup returns the credential for a repository of host, that of the most
// specific entry; a zero one if there is none. The error names the registry
// whose entry is broken.
func (f File) Lookup(host, repository string) (Credential, error) {
	for _, e := range f.entries {
		if e.pattern.Match(host, repository) {
			return e.value, e.err
		}
	}
	return Credential{}, nil
}

// Helper returns the name of the credential helper that docker would ask about
// host, or "".
func (f File) Helper(host string) string {
	for _, h := range f.helpers {
		if h.pattern.MatchHost(host) {
			return h.name
		}
	}
	return f.store
}

// ByRepository reports whether different repositories of host have different
// credentials.
func (f File) ByRepository(host string) bool {
	return slices.ContainsFunc(f.entries, func(e entry) bool { return e.pattern.HasPath() && e.pattern.MatchHost(host) })
}

// Skipped tells what was left out, a sentence each.
func (f File) Skipped() []string { return f.skipped }

// describe says where a file is broken, without what stands there.
func describe(content []byte, err error) error {
	if len(bytes.TrimSpace(content)) == 0 {
		return errors.New("it is empty")
	}
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return errors.New("it is JSON, but no object")
	}
	before := content[:min(int(syntax.Offset), len(content))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := len(before) - 1 - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("it is not JSON: line %d, column %d", line, max(column, 1))
}
