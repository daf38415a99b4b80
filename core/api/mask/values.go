// Package mask hides secrets in what people look at: in the values of releases
// and in their manifests. It goes by where a value came from, where that is
// known, by how its key sounds, and by what it looks like. That finds what is
// usual and is no proof that nothing is left.
package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Text stands for what is hidden.
const Text = "(redacted)"

// Values hides secrets in a JSON object of chart values: what is at or below one
// of pointers (RFC 6901), below a key that sounds like a secret, beside such a
// name in a list of variables (name, value), private keys and the passwords in
// URLs. Booleans, nulls and empty texts are left: they tell whether there is
// one. It returns how many values were hidden.
func Values(values []byte, pointers []string) (masked json.RawMessage, hidden int, err error) {
	dec := json.NewDecoder(bytes.NewReader(values))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, 0, errors.New("the values are no JSON") // the decoder's error may quote them
	}
	m := &masker{from: map[string]bool{}}
	for _, p := range pointers {
		m.from[p] = true
	}
	out := &bytes.Buffer{}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m.walk(tree, "", false)); err != nil {
		return nil, 0, err
	}
	return bytes.TrimSpace(out.Bytes()), m.hidden, nil
}

type masker struct {
	from   map[string]bool // JSON pointers
	hidden int
}

// walk returns node as it may be shown. at is its pointer; all of it is secret if
// secret is set.
func (m *masker) walk(node any, at string, secret bool) any {
	secret = secret || m.from[at]
	switch v := node.(type) {
	case map[string]any:
		named := namesSecret(v)
		for key, child := range v {
			sounds := soundsSecret(key) || named && key == "value"
			v[key] = m.walk(child, at+"/"+escapePointer.Replace(key), secret || sounds)
		}
		return v
	case []any:
		for i, child := range v {
			v[i] = m.walk(child, fmt.Sprintf("%s/%d", at, i), secret)
		}
		return v
	case json.Number:
		if secret {
			m.hidden++
			return Text
		}
	case string:
		return m.text(v, secret)
	}
	return node
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func (m *masker) text(s string, secret bool) string {
	shown := s
	switch {
	case s == "":
	case secret || strings.Contains(s, "PRIVATE KEY-----"):
		shown = Text
	default:
		shown = urlPassword.ReplaceAllString(s, "${1}:"+Text+"@")
	}
	if shown != s {
		m.hidden++
	}
	return shown
}

// urlPassword is a URL up to its user, and the password up to the host. A
// password may have an @ of its own.
var urlPassword = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@]*):[^\s/?#]+@`)

// secretWords are what keys of secrets have in them, without case, hyphens and
// underscores.
var secretWords = []string{
	"password", "passwd", "passphrase", "pwd", "secret", "token", "credential",
	"apikey", "accesskey", "privatekey", "encryptionkey", "signingkey", "authkey", "licensekey",
}

// soundsSecret reports whether what is at key is one. A key that names a secret
// which is kept elsewhere does not sound so.
func soundsSecret(key string) bool {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(key))
	for _, end := range []string{"name", "ref", "keyref", "pullsecrets", "path", "ttl", "expiration", "enabled"} {
		if strings.HasSuffix(plain, end) {
			return false
		}
	}
	return !strings.HasPrefix(plain, "existing") && slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(plain, word) })
}

// namesSecret reports whether v is a variable, as containers have them, whose
// name sounds like a secret.
func namesSecret(v map[string]any) bool {
	name, ok := v["name"].(string)
	return ok && soundsSecret(name)
}
