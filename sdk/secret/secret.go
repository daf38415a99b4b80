// Package secret holds the type for values that must never be printed.
package secret

// Redacted is what a Secret prints as.
const Redacted = "(redacted)"

// Secret is a sensitive string. It prints, formats and marshals as Redacted;
// only Reveal gives the value. The zero Secret is empty.
type Secret struct{ value string }

// New wraps value.
func New(value string) Secret { return Secret{value} }

// Reveal returns the value. Each call is a place to look at in a review.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns Redacted, or "" for an empty secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return Redacted
}

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return "secret.Secret{" + s.String() + "}" }

// MarshalText keeps JSON and other encoders from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a value, so that configuration structs may hold secrets.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}
