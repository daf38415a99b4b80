package charts_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/charts"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestPrivateSourcesAreNotLent(t *testing.T) {
	git := resource.Git{URL: "https://git.example.com/charts", Ref: "main"}
	with := func(json string) []charts.Repository {
		r, ok := charts.RepositoryOf("source.git.charts", config.PluginConfig{Kind: "source", Type: "git", JSON: []byte(json)}, "")
		if !ok {
			t.Fatalf("%s is of no repository", json)
		}
		return []charts.Repository{r}
	}
	public := with(`{"url":"https://git.example.com/charts","branch":"main","auth":null}`)
	private := with(`{"url":"https://git.example.com/charts","branch":"main","auth":{"token":"t"}}`)
	for name, c := range map[string]struct {
		declared []charts.Repository
		offered  string
		want     string
	}{
		"public":            {declared: public, want: "source.git.charts"},
		"private":           {declared: private},
		"private, offered":  {declared: private, offered: "source.git.charts", want: "source.git.charts"},
		"of another branch": {declared: with(`{"url":"https://git.example.com/charts","branch":"old"}`)},
		"at a tag":          {declared: with(`{"url":"https://git.example.com/charts.git","tag":"main"}`), want: "source.git.charts"},
	} {
		if got := charts.Declared(c.declared, git, c.offered); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if _, ok := charts.RepositoryOf("source.dir.charts", config.PluginConfig{Kind: "source", Type: "dir", JSON: []byte(`{}`)}, ""); ok {
		t.Error("a directory is a repository")
	}
}

// TestRepositoryBehindAMirror: a resource may name the URL that stands in the
// configuration, or the one that it is read from.
func TestRepositoryBehindAMirror(t *testing.T) {
	r, _ := charts.RepositoryOf("source.git.charts", config.PluginConfig{Type: "git", JSON: []byte(`{"url":"https://mirror.internal/charts","branch":"main"}`)}, "git@git.example.com:charts")
	for _, url := range []string{"https://mirror.internal/charts", "ssh://git@git.example.com/charts"} {
		if got := charts.Declared([]charts.Repository{r}, resource.Git{URL: url, Ref: "main"}, ""); got != "source.git.charts" {
			t.Errorf("%s is served by %q", url, got)
		}
	}
}

func TestID(t *testing.T) {
	id := func(git resource.Git, applier string) string {
		return (&charts.Source{Git: git, Applier: applier}).ID()
	}
	plain := resource.Git{URL: "https://git.example.com/charts", Ref: "main", Path: "web"}
	other := plain
	other.Path = "db"
	if id(plain, "applier.kubernetes.a") != id(other, "applier.kubernetes.b") {
		t.Error("two charts of one repository have two sources")
	}
	secret := plain
	secret.Secret = &release.ObjectKey{Namespace: "demo", Name: "git"}
	if a := id(secret, "applier.kubernetes.a"); a == id(plain, "applier.kubernetes.a") || a == id(secret, "applier.kubernetes.b") {
		t.Error("credentials are shared by those who have others")
	}
	s := charts.Source{Git: plain}
	if b := s.Block(); b.Address != s.ID() || "source.git."+b.Name != b.Address {
		t.Errorf("the block of %s is %s, %s", s.ID(), b.Address, b.Name)
	}
}

func TestRefIsLookedForAmongBranchesAndTags(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	type step struct {
		Config string
		AtOnce bool // the next one is tried
	}
	same := func(config string) []step { return []step{{Config: config}, {Config: config}} }
	for ref, want := range map[string][]step{
		"main": {{`{"branch":"main","url":"u"}`, true}, {`{"tag":"main","url":"u"}`, false}, {`{"branch":"main","url":"u"}`, true}},
		commit: same(`{"commit":"` + commit + `","url":"u"}`),
		"":     same(`{"url":"u"}`),
	} {
		s := charts.Source{Git: resource.Git{URL: "u", Ref: ref}}
		var got []step
		for range want {
			text, err := s.Config(nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, step{string(text), s.Otherwise()})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", ref, diff)
		}
	}
}

func TestChartBehindSSHSaysWhatToDo(t *testing.T) {
	s := charts.Source{Git: resource.Git{URL: "ssh://git@git.example.com/charts", Ref: "master"}}
	refused := diag.List{diag.Errorf(diag.Attr("url"), "an ssh url needs a key")}.Err()
	got := s.Explain(refused, "", true)
	for _, want := range []string{"git repository ssh://git@git.example.com/charts: ", `source "git" "NAME" { url = "ssh://git@git.example.com/charts", branch = "master", ssh`, "an ssh url needs a key"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if got := s.Explain(errors.New("no such host"), "https://mirror.internal/charts", false); !strings.Contains(got, "https://mirror.internal/charts stands in for it") || strings.Contains(got, "ssh {") {
		t.Errorf("of a mirror: %q", got)
	}
}
