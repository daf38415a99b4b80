package charts

import (
	"testing"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// TestLocate: a mirror stands in for a host in any case of letters, with no
// credentials but its own; those of a repository are for its server only.
func TestLocate(t *testing.T) {
	ref := helm.ChartRef{
		Repository: "https://Charts.Example.com/public", Auth: helm.Auth{Username: "me", Password: secret.New("p")},
		Remotes: []helm.Remote{{Prefix: "https://charts.example.com/", Mirror: "https://mirror.internal/"}},
	}
	var s Store
	for _, tt := range []struct {
		url, want, user string
		remotes         bool
	}{
		{"https://Charts.Example.com/public/index.yaml", "https://mirror.internal/public/index.yaml", "", true},
		{"https://Charts.Example.com/public/index.yaml", "https://Charts.Example.com/public/index.yaml", "me", false},
		{"https://charts.example.com/web.tgz", "https://charts.example.com/web.tgz", "me", false},
		{"https://other.example.com/web.tgz", "https://other.example.com/web.tgz", "", true},
	} {
		of := ref
		if !tt.remotes {
			of.Remotes = nil
		}
		l, err := s.locate(of, tt.url)
		if err != nil || l.URL.String() != tt.want || l.auth.Username != tt.user {
			t.Errorf("%s: %s as %q, %v; want %s as %q", tt.url, l.URL, l.auth.Username, err, tt.want, tt.user)
		}
	}
}
