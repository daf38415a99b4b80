// Package secret holds the type for values that must never be printed.
package secret

import (
	"fmt"
	"io"
	"unique"
)

// Redacted is what a Secret prints as.
const Redacted = "(redacted)"

// Secret is a sensitive string. It prints, formats and marshals as Redacted;
// only Reveal gives the value. The zero Secret is empty. Secrets compare with
// == and Equal.
type Secret struct {
	// A handle and not a string: package fmt calls no methods on unexported
	// fields of other structs, and would print a string that it finds there.
	value unique.Handle[string]
}

// New wraps value.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{unique.Make(value)}
}

// Reveal returns the value. Each call is a place to look at in a review.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// Equal reports whether two secrets hold the same value.
func (s Secret) Equal(other Secret) bool { return s == other }

// String returns Redacted, or "" for an empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// Format prints String with every verb, %d and %x among them.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q':
		_, _ = fmt.Fprintf(f, "%q", s.String()) // a printer has no way to report an error
	case verb == 'v' && f.Flag('#'):
		_, _ = io.WriteString(f, "secret.Secret{"+s.String()+"}")
	default:
		_, _ = io.WriteString(f, s.String())
	}
}

// MarshalText keeps JSON and other encoders from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a value, so that configuration structs may hold secrets.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}
