package main

import (
	"fmt"
	"net/mail"
	"os"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/sign"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func (c *Config) validateWrite() diag.List {
	w := c.Write
	if w == nil {
		return nil
	}
	var l diag.List
	for _, a := range []struct{ name, value string }{{"author", w.Author}, {"committer", w.Committer}} {
		if _, ok := person(a.value); !ok && a.value != "" {
			d := diag.Errorf(diag.Attr("write", a.name), "%q is not a name with a mail address", a.value)
			d.Detail = `For example: "Sluice <sluice@example.com>".`
			l = append(l, d)
		}
	}
	return append(l, w.Sign.validate()...)
}

func (s *Sign) validate() diag.List {
	switch {
	case s == nil:
	case s.Key.IsZero() == (s.KeyFile == ""):
		return diag.List{diag.Errorf(diag.Attr("write", "sign"), "sign needs key or key_file, and not both")}
	case !s.Key.IsZero():
		if _, err := sign.New(s.Key, s.Passphrase); err != nil {
			return diag.List{diag.Errorf(diag.Attr("write", "sign", "key"), "%s", err)}
		}
	}
	return nil
}

// signer reads the key; nil is none.
func (s *Sign) signer() (sign.Signer, error) {
	if s == nil {
		return nil, nil
	}
	key := s.Key
	if s.KeyFile != "" {
		text, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("write.sign.key_file: %w", err)
		}
		key = secret.New(string(text))
	}
	signer, err := sign.New(key, s.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("write.sign: %w", err)
	}
	return signer, nil
}

// person reads "Name <mail>". Git allows more in both than mail does, but no
// brackets, line ends and other control characters: also not encoded, since a
// commit holds what is decoded, between lines of its own.
func person(text string) (object.Signature, bool) {
	name, rest, ok := strings.Cut(text, "<")
	address, after, closed := strings.Cut(rest, ">")
	if !ok || !closed || strings.TrimSpace(after) != "" {
		return object.Signature{}, false
	}
	name, address = strings.TrimSpace(name), strings.TrimSpace(address)
	if a, err := mail.ParseAddress(text); err == nil {
		name, address = a.Name, a.Address
	}
	bad := func(r rune) bool { return r == '<' || r == '>' || unicode.IsControl(r) }
	if name == "" || address == "" || strings.ContainsFunc(name+address, bad) {
		return object.Signature{}, false
	}
	return object.Signature{Name: name, Email: address}, true
}
