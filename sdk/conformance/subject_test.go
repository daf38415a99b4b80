package conformance

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestSensitiveValuesAreFoundEverywhere(t *testing.T) {
	type login struct {
		User     string        `hcl:"user,optional"`
		Password secret.Secret `hcl:"password,optional"`
	}
	type config struct {
		Token  secret.Secret            `hcl:"token,optional"`
		Keys   map[string]secret.Secret `hcl:"keys,optional"`
		Single *login                   `hcl:"single,block"`
		Many   []login                  `hcl:"many,block"`
		Named  map[string]login         `hcl:"named,block"`
	}
	s, err := schema.Of[config]()
	if err != nil {
		t.Fatal(err)
	}
	const text = `{
		"token": "secret-1", "keys": {"a": "secret-2", "b": "short"},
		"single": {"user": "somebody", "password": "secret-3"},
		"many": [{"password": "secret-4"}, {"user": "anybody"}],
		"named": {"x": {"password": "secret-5"}}
	}`
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(slices.Values(sensitive(s, value)))
	want := []string{"secret-1", "secret-2", "secret-3", "secret-4", "secret-5"}
	if !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
