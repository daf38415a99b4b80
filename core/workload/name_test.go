package workload

import (
	"errors"
	"testing"

	"github.com/sluice-gitops/sluice/core/refusal"
)

func TestWorkloadNames(t *testing.T) {
	tests := map[string]struct{ namespace, want string }{
		"shop:deployment/web":   {"", "shop:deployment/web"},
		"shop:Deployment/web":   {"other", "shop:deployment/web"},
		"deployment/web":        {"shop", "shop:deployment/web"},
		"deploy/web":            {"shop", "shop:deployment/web"},
		"deployment/web ":       {"", "default:deployment/web "},
		"web":                   {"shop", ""},
		":deployment/web":       {"shop", ""},
		"shop:deployment/":      {"shop", ""},
		"shop:deployment/a/web": {"shop", ""},
	}
	for name, tc := range tests {
		got, err := Qualify(name, tc.namespace)
		if got != tc.want || (err == nil) != (tc.want != "") || err != nil && !errors.Is(err, refusal.ErrInvalid) {
			t.Errorf("Qualify(%q, %q) = %q, %v; want %q", name, tc.namespace, got, err, tc.want)
		}
	}
}
