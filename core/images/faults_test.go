package images_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	sdkregistry "github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// TestShrunkListing: half of the tags vanish, come back, vanish for good.
func TestShrunkListing(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	half := builds(20)[10:]
	reg.PushAll("app", builds(20))
	app := r.target("shop", "app", "1.12.0", "semver:*")
	lose := func() {
		for _, b := range half {
			reg.Untag("app", b.Tags[0])
		}
	}
	r.scan(app)
	r.news()

	lose()
	r.scan(app)
	v := r.view(app)
	if len(v.Tags) != 20 || len(v.Suspects) != 10 || len(v.Vanished) != 0 || v.Tags[0].Name != "1.19.0" || !v.Tags[0].Suspect {
		t.Errorf("after one listing without them: %d tags, %d suspect, %d vanished", len(v.Tags), len(v.Suspects), len(v.Vanished))
	}
	if got := r.news(); len(got) != 0 {
		t.Errorf("a loss that is not certain was announced: %+v", got)
	}

	reg.PushAll("app", half)
	r.scan(app)
	if v = r.view(app); len(v.Tags) != 20 || len(v.Suspects) != 0 {
		t.Errorf("back again: %d tags, %d suspect", len(v.Tags), len(v.Suspects))
	}

	lose()
	r.scan(app)
	r.restart() // what is suspect outlives it
	r.scan(app)
	v = r.view(app)
	if len(v.Tags) != 10 || len(v.Suspects) != 0 || len(v.Vanished) != 10 || v.Tags[0].Name != "1.9.0" {
		t.Errorf("after two: %d tags, %d suspect, %d vanished", len(v.Tags), len(v.Suspects), len(v.Vanished))
	}
	if v.Vanished[0].Name != "1.12.0" || v.Vanished[0].Since.IsZero() {
		t.Errorf("the one that runs is not first: %+v", v.Vanished[0])
	}
	if got := r.news(); len(got) != 1 || len(got[0].Vanished) != 10 || len(got[0].Targets) != 1 {
		t.Errorf("news %+v", got)
	}
	rows := v.Window(2)
	if len(rows) != 3 || rows[2].Relation != images.Unlisted || rows[2].Tag.Name != "1.12.0" {
		t.Errorf("rows %+v", rows)
	}
}

// TestEmptyListing: one tag is enough for doubt if it is the only one.
func TestEmptyListing(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.PushAll("app", builds(1))
	app := r.target("shop", "app", "1.0.0", "semver:*")
	r.scan(app)
	reg.Untag("app", "1.0.0")
	r.scan(app)
	if v := r.view(app); len(v.Tags) != 1 || len(v.Suspects) != 1 {
		t.Errorf("%d tags, %d suspect", len(v.Tags), len(v.Suspects))
	}
	r.scan(app)
	if v := r.view(app); len(v.Tags) != 0 || len(v.Vanished) != 1 {
		t.Errorf("%d tags, %d vanished", len(v.Tags), len(v.Vanished))
	}
}

// TestBrokenTags: tags that cannot be read are left out with the reason, cost
// nothing the next time, and stop nobody.
func TestBrokenTags(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.PushAll("app", builds(5))
	ways := []registrytest.Broken{registrytest.NoConfig, registrytest.NoChild, registrytest.NotJSON, registrytest.NotAManifest,
		registrytest.NotAConfig, registrytest.BadCreated, registrytest.HugeManifest, registrytest.Artifact}
	for i, how := range ways {
		reg.PushBroken("app", fmt.Sprintf("broken%d", i), how)
	}
	reg.Push("app", registrytest.Image{Tags: []string{"epoch"}, Created: registrytest.Epoch})
	reg.Push("app", registrytest.Image{Tags: []string{"sha256-" + strings.Repeat("ab", 32) + ".sig"}, Content: "signature"})
	app := r.target("shop", "app", "1.0.0", "*")
	r.scan(app)
	v := r.view(app)
	if !v.Complete || len(v.Missing) > 0 {
		t.Errorf("complete %v, missing %v", v.Complete, v.Missing)
	}
	want := []string{"1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0"}
	if diff := cmp.Diff(want, names(v.Tags)[:5]); diff != "" {
		t.Error(diff)
	}
	for _, tag := range v.Tags[5:] {
		if tag.Problem == "" || !tag.Created.IsZero() {
			t.Errorf("%s: problem %q, created %v", tag.Name, tag.Problem, tag.Created)
		}
	}
	reg.Reset()
	r.scan(app)
	if diff := cmp.Diff(map[string]int{"tags": 1}, reg.Counts()); diff != "" {
		t.Errorf("the next scan: %s", diff)
	}
}

// TestFailingTag: a tag that the registry fails on for a while makes the view
// incomplete, and nothing else.
func TestFailingTag(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.PushAll("app", builds(6))
	reg.SetFaults(registrytest.Fault{Class: "manifest-get", Path: "/1\\.3\\.0$", Status: 403})
	app := r.target("shop", "app", "1.0.0", "*")
	r.scan(app)
	v := r.view(app)
	if diff := cmp.Diff([]string{"1.3.0"}, v.Missing); diff != "" || v.Complete {
		t.Errorf("complete %v, missing: %s", v.Complete, diff)
	}
	if tag(t, v, "1.3.0").Problem == "" || tag(t, v, "1.4.0").Created.IsZero() {
		t.Errorf("%+v", v.Tags)
	}
}

// TestCutPages: a listing that ends early does not count.
func TestCutPages(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.Push("app", registrytest.Image{Tags: []string{"first"}})
	var tags []string
	for i := range 2500 {
		tags = append(tags, fmt.Sprintf("1.%d.0", i))
	}
	reg.ManyTags("app", "first", tags)
	app := r.target("shop", "app", "1.0.0", "semver:*")
	r.scan(app)
	reg.Push("app", registrytest.Image{Tags: []string{"9.0.0"}, Content: "news"})
	reg.SetFaults(registrytest.Fault{Class: "tags", Skip: 1, Cut: true})
	res := r.Scan(t.Context(), []images.Target{app}, nil)[0]
	if res.Err == nil || res.Tags != 2501 {
		t.Errorf("a listing that was cut: %+v", res)
	}
	v := r.view(app)
	if len(v.Tags) != 2501 || len(v.Suspects) != 0 || v.Error == "" || v.FailedAt.IsZero() {
		t.Errorf("%d tags, %d suspect, error %q", len(v.Tags), len(v.Suspects), v.Error)
	}
	reg.SetFaults()
	r.scan(app)
	if v = r.view(app); v.Tags[0].Name != "9.0.0" || v.Error != "" {
		t.Errorf("newest %s, error %q", v.Tags[0].Name, v.Error)
	}
}

// pullSecrets is a provider that knows a user for each namespace.
type pullSecrets map[string]string

func (p pullSecrets) Credential(_ context.Context, req sdkregistry.Request) (sdkregistry.Credential, error) {
	user := p[req.Consumer.Namespace]
	if user == "" {
		return sdkregistry.Credential{}, sdkregistry.ErrAnonymous
	}
	return sdkregistry.Credential{Username: user, Password: secret.New("of " + user), Scope: sdkregistry.ScopeRegistry}, nil
}

func (pullSecrets) Tags(context.Context, sdkregistry.Request, func(sdkregistry.Tag)) error {
	return sdkregistry.ErrAnonymous
}
func (pullSecrets) Has(capability string) bool  { return capability == sdkregistry.ForConsumers }
func (pullSecrets) Close(context.Context) error { return nil }

// TestNamespaces: two namespaces with different users never see what the other
// may see.
func TestNamespaces(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Auth: "basic", Users: []registrytest.User{
		{Name: "alice", Password: "of alice"}, {Name: "bob", Password: "of bob", Repositories: []string{"public"}},
	}})
	reg.PushAll("private", builds(3))
	users := pullSecrets{"a": "alice", "also-a": "alice", "b": "bob"}
	r := start(t, reg, images.Settings{}, credentials.Provider{
		Address: "pull secrets of " + cluster, Origin: credentials.PullSecrets, Applier: cluster, Key: "1",
		Open: func(context.Context) (credentials.Handle, error) { return users, nil },
	})
	a, b := r.target("a", "private", "1.0.0", "semver:*"), r.target("b", "private", "1.0.0", "semver:*")
	results := r.Scan(t.Context(), []images.Target{a, b}, nil)
	if len(results) != 2 {
		t.Fatalf("%d scans for two users: %+v", len(results), results)
	}
	if v := r.view(a); len(v.Tags) != 3 || v.Error != "" {
		t.Errorf("alice sees %d tags, error %q", len(v.Tags), v.Error)
	}
	v := r.view(b)
	if len(v.Tags) != 0 || v.Error == "" || v.Complete {
		t.Errorf("bob sees %v, error %q", names(v.Tags), v.Error)
	}
	failed := slices.IndexFunc(results, func(res images.Result) bool { return res.Err != nil })
	if failed < 0 || results[1-failed].Err != nil || strings.Contains(results[failed].Err.Error(), "of bob") {
		t.Errorf("results %+v", results)
	}
}

// TestSchedule: what SetTargets names is scanned without being asked for, and
// news are told once the images are read.
func TestSchedule(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	told := make(chan images.Change, 10)
	r := start(t, reg, images.Settings{Exclude: []string{"*/secret"}})
	reg.PushAll("app", builds(2))
	reg.PushAll("other", builds(2))
	reg.PushAll("secret", builds(2))
	r.tell = func(c images.Change) { told <- c }
	reg.Reset()
	r.SetTargets([]images.Target{
		r.target("shop", "app", "1.0.0", "*"), r.target("shop", "other", "1.0.0", ""), r.target("shop", "secret", "1.0.0", "*"),
	})
	select {
	case c := <-told:
		if !c.First || len(c.New) != 2 || c.Missing != 0 || c.Repository != "registry.test/app" || len(c.Targets) != 1 {
			t.Errorf("change %+v", c)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was scanned")
	}
	if diff := cmp.Diff(map[string]int{"tags": 1, "manifest-get": 4, "blob": 2}, answered(reg)); diff != "" {
		t.Error(diff)
	}
	if v := r.view(r.target("shop", "other", "1.0.0", "")); v.Skipped != "not automated" || len(v.Tags) != 0 {
		t.Errorf("not under a policy: %+v", v)
	}
	secret := r.target("shop", "secret", "1.0.0", "*")
	if res := r.Scan(t.Context(), []images.Target{secret}, nil)[0]; res.Skipped != "excluded" {
		t.Errorf("excluded: %+v", res)
	}
}

// TestSecretMadeLater: what was refused for want of a pull secret is listed when
// the chain has one after Retry, and, as it is another credential, by what a
// person asks for.
func TestSecretMadeLater(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Auth: "token", Users: []registrytest.User{{Name: "alice", Password: "of alice"}}})
	reg.PushAll("private", builds(3))
	chain := func(key string, users pullSecrets) []credentials.Provider {
		return []credentials.Provider{{
			Address: "pull secrets of " + cluster, Origin: credentials.PullSecrets, Applier: cluster, Key: key,
			Open: func(context.Context) (credentials.Handle, error) { return users, nil },
		}}
	}
	none := chain("none", pullSecrets{})
	for name, find := range map[string]func(*rig, images.Target){
		"retry": func(r *rig, _ images.Target) { r.Retry() },
		"scan":  func(r *rig, target images.Target) { r.scan(target) },
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan images.Change, 10)
			r := start(t, reg, images.Settings{}, none...)
			r.tell = func(c images.Change) { told <- c }
			target := r.target("shop", "private", "1.0.0", "semver:*")
			r.SetTargets([]images.Target{target})
			if res := r.Scan(t.Context(), []images.Target{target}, nil)[0]; !remote.IsUnauthorized(res.Err) {
				t.Fatalf("without a secret: %+v", res)
			}
			if st := r.Status(); len(st) != 1 || st[0].Problem != images.Unauthorized || strings.Contains(st[0].Error, st[0].Repository+": ") {
				t.Errorf("status %+v", st)
			}
			r.broker.Configure(chain("one", pullSecrets{"shop": "alice"}))
			find(r, target)
			if c := <-told; !c.First || len(c.New) != 3 {
				t.Errorf("change %+v", c)
			}
			if v := r.view(target); len(v.Tags) != 3 || v.Error != "" {
				t.Errorf("%d tags, error %q", len(v.Tags), v.Error)
			}
			if st := r.Status(); len(st) != 1 || st[0].Credential == "" || st[0].Problem != "" {
				t.Errorf("status afterwards %+v", st)
			}
		})
	}
}
