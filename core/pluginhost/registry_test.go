//go:build unix

package pluginhost

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// cashier is a credential plugin that logs what it gave before, in the form in
// which registries get it.
type cashier struct {
	c   testConfig
	env sdk.Env
}

func serveCashier() {
	sdk.Main(sdk.Plugin{Name: "cashier", Version: "1.0.0", Kinds: []sdk.Kind{
		registry.New("cashier", func(_ context.Context, c testConfig, env sdk.Env) (*cashier, error) {
			return &cashier{c, env}, nil
		}),
	}})
}

func (c *cashier) Credential(_ context.Context, req registry.Request) (registry.Credential, error) {
	if req.Repository == "log" {
		pair := base64.StdEncoding.EncodeToString([]byte("user:issued-password"))
		c.env.Log.Info("gave issued-password as Basic " + pair)
		return registry.Credential{}, errors.New("issued-token is no good")
	}
	return registry.Credential{Username: "user", Password: secret.New("issued-password"), IdentityToken: secret.New("issued-token")}, nil
}

// What a credential plugin has given is in no log and no error from then on.
func TestIssuedCredentialsAreScrubbed(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "cashier")
	i, _, err := h.Open(t.Context(), "registry_credential", "cashier", "registry_credential.cashier.a", config(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := i.Registry().Credential(t.Context(), registry.Request{Host: "registry.test", Repository: "app"})
	if err != nil || c.Password.Reveal() != "issued-password" {
		t.Fatalf("%v, %v", c, err)
	}
	_, err = i.Registry().Credential(t.Context(), registry.Request{Host: "registry.test", Repository: "log"})
	if err == nil || strings.Contains(err.Error(), "issued-token") {
		t.Errorf("error %v", err)
	}
	h.log.wait(t, "gave (redacted) as Basic (redacted)")
}

// Passwords that pass neither stay for ever nor push out those that last.
func TestScrubberForgetsWhatPasses(t *testing.T) {
	var s Scrubber
	s.Add("configured")
	for n := range 10_000 {
		s.AddPassing(fmt.Sprintf("rotated%06d", n))
	}
	if n := len(s.passing.order); n != scrubPassing || len(s.passing.known) != n {
		t.Errorf("%d forms, %d known", n, len(s.passing.known))
	}
	if got := s.Scrub("configured, rotated009999, rotated000001"); got != "(redacted), (redacted), rotated000001" {
		t.Errorf("scrubbed: %s", got)
	}
}
