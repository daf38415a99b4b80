package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// resolved counts how often the plugin is asked for a chart.
func (g *rig) resolved() (resolves, pulls int) { return g.calls["Resolve"], g.calls["Pull"] }

// An exact version is what it was, also when somebody publishes it again; a range
// is looked up each time.
func TestVersions(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.expect("in_sync: install", "deployed"))
		g.publish("1.0.0", "again")
		later(g.expect("in_sync:", "deployed"))
		if r, p := g.resolved(); r != 1 || p != 1 {
			t.Errorf("%d resolved, %d pulled", r, p)
		}
		g.spec.Chart.Version = "*"
		rep := g.expect("in_sync: upgrade", "superseded deployed")
		if r := rep.Steps[0].Reason; r != "Revision 1 was made before the chart (ghost-1.0.0, with other files) changed." {
			t.Error(r)
		}
		later(rep)
		g.publish("1.1.0", "newer")
		g.expect("in_sync: upgrade", "superseded superseded deployed")
		if r, p := g.resolved(); r != 3 || p != 3 {
			t.Errorf("%d resolved, %d pulled", r, p)
		}
	})
}

// What was remembered may be gone: then it is asked for anew.
func TestRepublishedBeforeItWasPulled(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		other, err := New(Options{Dir: t.TempDir()}) // a machine without the chart
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		g.runner = other
		g.publish("1.0.0", "again")
		g.values(`{"a": 1}`)
		later(g.expect("out_of_sync: upgrade(chart: the digest is not the one that was resolved)", "deployed"))
		g.expect("in_sync: upgrade", "superseded deployed")
	})
}

func TestChartOfATree(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		dir, commit, released := t.TempDir(), "one", 0
		write := func(text string) {
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, "charts/ghost"), 0o700),
				os.WriteFile(filepath.Join(dir, "charts/ghost/Chart.yaml"), []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		write("name: ghost\n")
		g.spec.Chart = Chart{Tree: &TreeChart{Source: "source.git.x", Path: "charts/ghost"}}
		g.host.Tree = func(context.Context, string) (Tree, error) {
			return Tree{Dir: dir, Revision: commit, Digest: "tree " + commit, Release: func() { released++ }}, nil
		}
		rep := g.expect("in_sync: install", "deployed")
		if rep.Chart.From != "source.git.x charts/ghost" || rep.Chart.Revision != "one" {
			t.Errorf("%+v", rep.Chart)
		}
		later(rep)
		later(g.expect("in_sync:", "deployed"))
		if r, _ := g.resolved(); r != 1 {
			t.Errorf("resolved %d times", r)
		}
		commit = "two" // without a change to the chart
		later(g.expect("in_sync:", "deployed"))
		commit = "three"
		write("name: ghost\n# changed\n")
		later(g.expect("in_sync: upgrade", "superseded deployed"))
		if r, p := g.resolved(); r != 3 || p != 2 || released != 4 {
			t.Errorf("%d resolved, %d pulled, %d of 4 trees released", r, p, released)
		}
		g.spec.Chart.Tree.Path = "charts/blog"
		rep = g.expect(`unknown: | chart: there is no chart in "charts/blog"`, "superseded deployed")
		if strings.Join(g.phases, " ") != "ChartFetchFailed" {
			t.Error(g.phases)
		}
		later(rep)
		g.host.Tree = func(context.Context, string) (Tree, error) {
			return Tree{}, errors.New("source.git.x has no revision yet")
		}
		g.expect("unknown: | chart: source.git.x has no revision yet", "superseded deployed")
	})
}

// Charts are kept between processes, and a signature is asked for although the
// chart is there.
func TestChartsAreKept(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		dir := t.TempDir()
		for i, keyring := range []string{"", "", "keys"} {
			runner, err := New(Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			g.runner, g.rec = runner, Record{}
			g.spec.Chart.Keyring = keyring
			g.values(`{"a": ` + string(rune('1'+i)) + `}`)
			if rep := g.run(t.Context()); rep.State != InSync {
				t.Error(summary(rep))
			}
			if err := runner.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, p := g.resolved(); p != 2 {
			t.Errorf("pulled %d times, want 2", p)
		}
	})
}

func TestAuthFrom(t *testing.T) {
	keys := map[string]string{}
	n := &run{h: &Host{Secret: func(_ context.Context, namespace, name, key string) (secret.Secret, error) {
		if text, ok := keys[key]; ok {
			return secret.New(text), nil
		}
		return secret.Secret{}, ErrNoValues
	}}}
	read := func() string {
		user, password, err := n.auth(t.Context(), &ObjectKey{Namespace: "demo", Name: "pull"}, "oci://registry.example.com:5000/charts")
		if err != nil {
			return err.Error()
		}
		return user + " " + password.Reveal()
	}
	if got := read(); !strings.HasPrefix(got, "the Secret demo/pull has neither username and password nor .dockerconfigjson") {
		t.Error(got)
	}
	keys[".dockerconfigjson"] = `{"auths": {"other": {}, "https://registry.example.com:5000/v1/": {"auth": "bWU6aHVudGVyMjI="}}}`
	if got := read(); got != "me hunter22" {
		t.Error(got)
	}
	keys[".dockerconfigjson"] = `{"auths": {"registry.example.com:5000": {"username": "me", "password": "too"}}}`
	if got := read(); got != "me too" {
		t.Error(got)
	}
	keys[".dockerconfigjson"] = `{"auths": {"hunter22`
	if got := read(); got != "the Secret demo/pull: .dockerconfigjson is not what its name says" {
		t.Error(got)
	}
	keys["username"], keys["password"] = "you", "three"
	if got := read(); got != "you three" {
		t.Error(got)
	}
}

// Only what cannot change is remembered.
func TestKeysOfCharts(t *testing.T) {
	n := &run{h: &Host{}, s: &Spec{}}
	key := func(c Chart) string {
		n.s.Chart = c
		_, _, key, err := n.chartRef(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	for version, exact := range map[string]bool{"1.2.3": true, "v1.2.3": true, "1.2.3-rc.1+x": true, "": false, "1.2": false, "^1.2.3": false, ">=1": false, "1.2.x": false, "latest": false} {
		if (key(Chart{Version: version}) != "") != exact {
			t.Errorf("version %q", version)
		}
	}
	base := Chart{Repository: "https://a", Name: "b", Version: "1.2.3"}
	for _, change := range []func(*Chart){
		func(c *Chart) { c.Repository = "https://c" }, func(c *Chart) { c.Name = "c" }, func(c *Chart) { c.Version = "1.2.4" }, func(c *Chart) { c.Keyring = "k" },
	} {
		other := base
		change(&other)
		if key(base) == key(other) {
			t.Errorf("%+v and %+v are taken for the same", base, other)
		}
	}
	with := base
	with.Auth = helm.Auth{Username: "me"}
	if key(base) != key(with) {
		t.Error("who asks makes a difference")
	}
}
