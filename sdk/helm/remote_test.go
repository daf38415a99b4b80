package helm_test

import (
	"net/url"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

func TestFindRemote(t *testing.T) {
	remotes := []helm.Remote{
		{Prefix: "https://charts.example.com", Mirror: "https://mirror.internal/charts/"},
		{Prefix: "https://charts.example.com/team/", Mirror: "oci://mirror.internal/team"},
		{Prefix: "https://charts.example.com/team"},
		{Prefix: "HTTPS://Private.Example.com/", Auth: helm.Auth{Username: "me"}},
		{Prefix: "git@code.example.com:Acme", Mirror: "https://mirror.internal/acme"},
		{Prefix: ""},
	}
	for address, want := range map[string]struct {
		index int
		at    string
	}{
		"https://charts.example.com":                     {0, "https://mirror.internal/charts"},
		"https://charts.example.com/Web/":                {0, "https://mirror.internal/charts/Web/"},
		"https://charts.example.com?a=b":                 {0, "https://mirror.internal/charts?a=b"},
		"HTTPS://Charts.Example.com/Web":                 {0, "https://mirror.internal/charts/Web"},
		"https://charts.example.com/team/web":            {1, "oci://mirror.internal/team/web"},
		"https://charts.example.com/Team/web":            {0, "https://mirror.internal/charts/Team/web"},
		"https://charts.example.com/teams":               {0, "https://mirror.internal/charts/teams"},
		"https://charts.example.community/x":             {-1, "https://charts.example.community/x"},
		"https://me@charts.example.com/x":                {-1, "https://me@charts.example.com/x"},
		"https://private.example.com/X":                  {3, "https://private.example.com/X"},
		"git@code.example.com:Acme/app.git":              {4, "https://mirror.internal/acme/app.git"},
		"ssh://git@Code.example.com/Acme/app.git":        {4, "https://mirror.internal/acme/app.git"},
		"ssh://Git@code.example.com/Acme/app.git":        {-1, "ssh://Git@code.example.com/Acme/app.git"},
		"https://example.com?https://charts.example.com": {-1, "https://example.com?https://charts.example.com"},
		`C:\charts`: {-1, `C:\charts`},
		"":          {-1, ""},
	} {
		index, at := helm.FindRemote(remotes, address)
		if index != want.index || at != want.at {
			t.Errorf("%s: %d, %s; want %d, %s", address, index, at, want.index, want.at)
		}
	}
}

func TestHasDotSegments(t *testing.T) {
	for address, want := range map[string]bool{
		"https://example.com/a..b/.c/v1...yaml?at=../x": false,
		"https://example.com/a/../b":                    true,
		"https://example.com/a/./b":                     true,
		"https://example.com/a/%2e%2E/b":                true,
		"https://example.com/a/%252e%252e/b":            true,
		`https://example.com/a/..%5cb`:                  true,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := helm.HasDotSegments(u); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}
