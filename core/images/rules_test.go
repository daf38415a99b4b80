package images_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
)

func notQuarantined(string, string) string { return "" }

// decide selects by what the scanner knows.
func (r *rig) decide(t images.Target) policy.Selection {
	r.t.Helper()
	return t.Rules.Select(r.view(t).Input(t.Image, notQuarantined, time.Now()))
}

// TestPinned: what runs under a digest is noticed when its tag moves, for one
// HEAD each scan, and what is selected comes with its digest.
func TestPinned(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	digests := reg.PushAll("app", builds(3))
	target := r.target("shop", "app", "1.2.0", "semver:*")
	target.Image.Digest = digests[2]
	step := func(name string, want map[string]int) {
		t.Helper()
		reg.Reset()
		r.scan(target)
		if diff := cmp.Diff(want, answered(reg)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	step("first", map[string]int{"tags": 1, "manifest-head": 1})
	step("again", map[string]int{"tags": 1, "manifest-head": 1})
	if s := r.decide(target); s.Selected != "" || s.Error != "" {
		t.Errorf("up to date, but %+v", s)
	}
	rebuilt := builds(3)[2]
	rebuilt.Content = "built again"
	moved := reg.Push("app", rebuilt)
	r.news()
	step("moved", map[string]int{"tags": 1, "manifest-head": 1})
	if news := r.news(); len(news) != 1 || !slices.Equal(news[0].Moved, []string{"1.2.0"}) {
		t.Errorf("news: %+v", news)
	}
	s := r.decide(target)
	if got := target.Rules.Target(target.Image, s); s.Selected != "1.2.0" || got.Digest != moved || got.Tag != "1.2.0" {
		t.Errorf("moved, but %+v: %s", s, got)
	}
	newer := builds(4)[3]
	next := reg.Push("app", newer)
	step("newer", map[string]int{"tags": 1, "manifest-head": 2})
	if s := r.decide(target); s.Selected != "1.3.0" || s.Digest != next || s.NeedsDigest {
		t.Errorf("newer, but %+v", s)
	}
	target.Rules.Digest = policy.DropDigest
	step("dropped", map[string]int{"tags": 1})
}

// TestYoung: an age under a policy by version takes the times of tags that are
// not behind, and platforms what the images are made for.
func TestYoung(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	all := builds(10)
	all[9].Platforms = []string{"linux/arm64"}
	reg.PushAll("app", all)
	target := r.target("shop", "app", "1.7.0", "semver:*")
	target.Rules.MinAge, target.Rules.Platforms = time.Hour, []string{"linux/amd64"}
	if before := r.view(target); before.Complete {
		t.Error("complete before a scan")
	}
	reg.Reset()
	r.scan(target)
	if got := answered(reg); got["tags"] != 1 || got["blob"] != 3 {
		t.Errorf("requests %v, want the images of three tags", got)
	}
	if s := r.decide(target); s.Selected != "1.8.0" || s.Error != "" {
		t.Errorf("%+v", s)
	}
	reg.Reset()
	r.scan(target)
	if diff := cmp.Diff(map[string]int{"tags": 1}, answered(reg)); diff != "" {
		t.Error(diff)
	}
}

// TestHalfLost: a registry that loses half its tags changes nothing, whatever
// the policy, neither while that is doubted nor when it is believed.
func TestHalfLost(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	for i, pattern := range []string{"glob:*", "semver:*", `numeric:^1\.([0-9]+)\.`, "regexp:^1"} {
		app := fmt.Sprint("app", i)
		reg.PushAll(app, builds(20))
		current := r.target("shop", app, "1.19.0", pattern)
		behind := r.target("shop", app, "1.5.0", pattern)
		elsewhere := r.target("shop", app, "0.1.0", strings.Replace(pattern, "*", "1.*", 1))
		r.scan(current, behind)
		for i := 10; i < 20; i++ {
			reg.Untag(app, fmt.Sprintf("1.%d.0", i))
		}
		for _, scan := range []string{"doubted", "believed", "later"} {
			r.scan(current, behind)
			for _, target := range []images.Target{current, behind, elsewhere} {
				if target.Image.Tag != "1.19.0" && scan != "doubted" {
					continue // what is left is newer than what runs
				}
				if s := r.decide(target); s.Selected != "" {
					t.Errorf("%s, %s: %s moves to %s: %s", pattern, scan, target.Image.Tag, s.Selected, s.Reason)
				}
			}
		}
	}
}

// TestLookup: whether an image is there, from the listing or by one HEAD.
func TestLookup(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{Exclude: []string{"registry.test/secret"}})
	digests := reg.PushAll("app", builds(2))
	target := r.target("shop", "app", "1.0.0", "semver:*")
	ask := func(image string, heads int) (string, error) {
		t.Helper()
		parsed, err := ref.Parse(image)
		if err != nil {
			t.Fatal(err)
		}
		asked := target
		asked.Image = parsed
		reg.Reset()
		digest, err := r.Lookup(t.Context(), asked)
		if got := reg.Count("manifest-head"); got != heads || len(reg.Requests()) != heads {
			t.Errorf("%s: %d requests, %d of them HEAD, want %d", image, len(reg.Requests()), got, heads)
		}
		return digest, err
	}
	if digest, err := ask("registry.test/app:1.1.0", 1); err != nil || digest != digests[1] {
		t.Errorf("%s, %v", digest, err)
	}
	r.scan(target)
	for _, heads := range []int{1, 0} {
		if digest, err := ask("registry.test/app:1.1.0", heads); err != nil || digest != digests[1] {
			t.Errorf("%s, %v", digest, err)
		}
	}
	if digest, err := ask("registry.test/app@"+digests[0], 1); err != nil || digest != digests[0] {
		t.Errorf("%s, %v", digest, err)
	}
	if _, err := ask("registry.test/app:9", 1); err == nil {
		t.Error("app:9 is there")
	}
	if _, err := ask("registry.test/secret:1", 0); err == nil || !strings.Contains(err.Error(), "excluded") {
		t.Errorf("secret: %v", err)
	}
}
