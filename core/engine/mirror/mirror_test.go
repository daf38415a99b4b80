package mirror_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestFind(t *testing.T) {
	table := mirror.New([]config.Mirror{
		{Prefix: "https://git.example.com", To: "https://mirror.internal/git"},
		{Prefix: "https://git.example.com/team/", To: "file:///srv/team"},
		{Prefix: "git@code.example.com:acme", To: "https://mirror.internal/acme"},
		{Prefix: "ssh://git@other.example.com", To: "ssh://git@mirror.internal:2222"},
		{Prefix: "oci://registry.example.com/charts", To: "oci://mirror.internal/charts"},
	})
	for url, want := range map[string]string{
		"https://git.example.com/shop/deploy.git":     "https://mirror.internal/git/shop/deploy.git",
		"https://Git.Example.com/shop":                "https://mirror.internal/git/shop",
		"https://git.example.com":                     "https://mirror.internal/git",
		"https://git.example.com/team/app.git":        "file:///srv/team/app.git",
		"https://git.example.com/teams/app.git":       "https://mirror.internal/git/teams/app.git",
		"https://git.example.community/app.git":       "",
		"git@code.example.com:acme/app.git":           "https://mirror.internal/acme/app.git",
		"ssh://git@code.example.com/acme/app.git":     "https://mirror.internal/acme/app.git",
		"git@code.example.com:acmecorp/app.git":       "",
		"git@other.example.com:team/app.git":          "ssh://git@mirror.internal:2222/team/app.git",
		"eve@other.example.com:team/app.git":          "",
		"oci://registry.example.com/charts/ghost":     "oci://mirror.internal/charts/ghost",
		"oci://registry.example.com/charts-old/ghost": "",
		"/srv/git/app": "",
		"":             "",
	} {
		to, m, ok := table.Find(url)
		if to != want || ok != (want != "") || ok != (m.To != "") {
			t.Errorf("Find(%q) = %q, %v, want %q", url, to, ok, want)
		}
	}
}

func TestRemotes(t *testing.T) {
	table := mirror.New([]config.Mirror{
		{Prefix: "https://a", To: "https://b"},
		{Prefix: "https://a/charts", To: "https://c", Access: config.Access{Username: "u", Password: secret.New("p"), CA: "ca"}},
	})
	want := []helm.Remote{
		{Prefix: "https://a/charts", Mirror: "https://c", Auth: helm.Auth{Username: "u", Password: secret.New("p"), CA: "ca"}},
		{Prefix: "https://a", Mirror: "https://b"},
	}
	if diff := cmp.Diff(want, table.Remotes(), cmpopts.EquateComparable(secret.Secret{})); diff != "" {
		t.Error(diff)
	}
	if got := (mirror.Table{}).Remotes(); len(got) != 0 {
		t.Errorf("no mirrors make %v", got)
	}
}
