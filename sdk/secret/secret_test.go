package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// No way of printing may show the value.
func TestNothingPrintsTheValue(t *testing.T) {
	const value = "hunter22"
	s := secret.New(value)
	type holder struct {
		Token   secret.Secret
		Pointer *secret.Secret
		hidden  secret.Secret // fmt calls no methods on it
	}
	h := holder{s, &s, s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T"} {
		for _, v := range []any{s, &s, h, &h, []secret.Secret{s}, map[string]secret.Secret{"k": s}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, fmt.Errorf("with %v", s))
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "secret", s, "holder", h)
	for _, encode := range []func() error{
		func() error { return json.NewEncoder(&out).Encode(h) },
		func() error { return xml.NewEncoder(&out).Encode(h) },
	} {
		if err := encode(); err != nil {
			t.Error(err)
		}
	}
	text := out.String()
	for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value)} {
		if i := strings.Index(text, form); i >= 0 {
			t.Errorf("the value was printed: ...%s", text[max(0, i-80):min(len(text), i+40)])
		}
	}
}

func TestSecret(t *testing.T) {
	var s secret.Secret
	if !s.IsZero() || s.String() != "" || s.Reveal() != "" {
		t.Errorf("the zero Secret is %#v", s)
	}
	if err := json.Unmarshal([]byte(`"abc"`), &s); err != nil || s.Reveal() != "abc" || s.IsZero() {
		t.Errorf("read %q, %v", s.Reveal(), err)
	}
	if got := s.String(); got != secret.Redacted {
		t.Errorf("prints as %q", got)
	}
	if s != secret.New("abc") || !s.Equal(secret.New("abc")) || s == secret.New("abd") {
		t.Error("secrets do not compare by value")
	}
	if secret.New("") != (secret.Secret{}) {
		t.Error("two empty secrets differ")
	}
}
