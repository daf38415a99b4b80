package update_test

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// dimensions are what a release of one workload depends on. Each has its
// values; the matrix is their product.
var dimensions = []struct {
	name   string
	values []string
}{
	{"asked", []string{"all", "named", "other"}}, // other: only another workload is named
	{"what", []string{"image", "all-images"}},
	{"excluded", []string{"no", "yes"}},
	{"force", []string{"no", "yes"}},
	{"locked", []string{"no", "yes"}},
	{"ignored", []string{"no", "git", "live"}},
	{"filter", []string{"no", "refuses"}},
	{"uses", []string{"yes", "no"}}, // the image of the release
	{"repo", []string{"yes", "no"}},
	{"cluster", []string{"yes", "no"}},
	{"current", []string{"no", "yes"}}, // it is up to date
}

// oracle is what Flux v1 says: the first row whose conditions all hold. A
// condition is "name=value" or "name!=value".
var oracle = []struct{ when, status, reason string }{
	{"repo=no asked=named", "skipped", "not found in repository"},
	{"repo=no", "", ""}, // no result
	{"asked=other", "ignored", "not included"},
	{"excluded=yes", "ignored", "excluded"},
	{"cluster=no", "skipped", "not accessible in cluster"},
	{"what=image uses=no", "ignored", "a different image"},
	{"locked=yes asked=all", "skipped", "locked"},
	{"locked=yes force=no", "skipped", "locked"},
	{"ignored!=no asked=all", "skipped", "ignore"},
	{"ignored!=no force=no", "skipped", "ignore"},
	{"what=image filter=refuses force=no", "skipped", "cannot find one or more images"},
	{"what=all-images filter=refuses", "ignored", "does not use image(s)"},
	{"current=yes", "skipped", "image(s) up to date"},
	{"", "success", ""},
}

type scene map[string]string

func (s scene) holds(when string) bool {
	for condition := range strings.FieldsSeq(when) {
		name, value, _ := strings.Cut(condition, "=")
		if negated, ok := strings.CutSuffix(name, "!"); ok {
			if s[negated] == value {
				return false
			}
		} else if s[name] != value {
			return false
		}
	}
	return true
}

// scenes are all combinations.
func scenes() iter.Seq[scene] {
	return func(yield func(scene) bool) {
		var fill func(s scene, n int) bool
		fill = func(s scene, n int) bool {
			if n == len(dimensions) {
				return yield(maps.Clone(s))
			}
			for _, v := range dimensions[n].values {
				s[dimensions[n].name] = v
				if !fill(s, n+1) {
					return false
				}
			}
			return true
		}
		fill(scene{}, 0)
	}
}

const (
	web   = "shop:deployment/web"
	other = "shop:deployment/other"
)

// workload is the one that the scene is about.
func (s scene) workload() update.Workload {
	annotations := map[string]string{}
	if s["locked"] == "yes" {
		annotations["fluxcd.io/locked"] = "true"
	}
	if s["ignored"] == "git" {
		annotations["sluice.dev/ignore"] = "true"
	}
	if s["filter"] == "refuses" {
		annotations["fluxcd.io/tag.main"] = "glob:stable-*"
	}
	image := "quay.io/web:1"
	if s["uses"] == "no" {
		image = "quay.io/another:1"
	}
	if s["current"] == "yes" {
		image = strings.Replace(image, ":1", ":2", 1)
	}
	p := policy.Of(annotations)
	return update.Workload{
		ID: web, Sync: "sync.app", Source: "source.git.shop", Policy: p, Ignored: s["ignored"] == "live",
		InRepo: s["repo"] == "yes", InCluster: s["cluster"] == "yes",
		Containers: []update.Container{container("main", image, p.Rules("main"), "1", "2")},
	}
}

func (s scene) spec() update.Spec {
	spec := update.Spec{Force: s["force"] == "yes", All: s["asked"] == "all", AllImages: s["what"] == "all-images"}
	switch s["asked"] {
	case "named":
		spec.Workloads = []string{web}
	case "other":
		spec.Workloads = []string{other}
	}
	if !spec.AllImages {
		spec.Image = "quay.io/web:2"
	}
	if s["excluded"] == "yes" {
		spec.Exclude = []string{web}
	}
	return spec
}

// container has an image of a repository with tags, the newest last.
func container(name, image string, rules policy.Rules, tags ...string) update.Container {
	c := update.Container{Name: name, Rules: rules}
	var err error
	if c.Current, err = ref.Parse(image); err != nil {
		c.Invalid = err.Error()
	}
	c.Input = func() policy.Input {
		in := policy.Input{Complete: true, Now: noon}
		for n, tag := range tags {
			in.Tags = append(in.Tags, policy.Tag{Tag: tag, Created: noon.Add(time.Duration(n-1000) * time.Hour)})
		}
		return in
	}
	return c
}

func known(ref.Ref) (string, error) { return "", nil }

// TestReleaseMatrix checks every combination against the oracle.
func TestReleaseMatrix(t *testing.T) {
	seen, refused := map[string]int{}, 0
	for s := range scenes() {
		spec := s.spec()
		bystander := update.Workload{ID: other, InRepo: true, InCluster: true}
		results, err := update.Release(spec, []update.Workload{s.workload(), bystander}, known)
		if spec.Force && spec.All && spec.AllImages {
			if err == nil {
				t.Fatalf("%v is taken", s)
			}
			refused++
			continue
		}
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
		row := slices.IndexFunc(oracle, func(r struct{ when, status, reason string }) bool { return s.holds(r.when) })
		want := oracle[row]
		seen[want.when]++
		n := slices.IndexFunc(results, func(r update.Result) bool { return r.ID == web })
		if n < 0 {
			if want.status != "" {
				t.Errorf("%v: no result, want %s %q", s, want.status, want.reason)
			}
			continue
		}
		got := results[n]
		if string(got.Status) != want.status || got.Reason != want.reason {
			t.Errorf("%v: %s %q, want %s %q", s, got.Status, got.Reason, want.status, want.reason)
		}
		if (len(got.Containers) == 1) != (want.status == "success") {
			t.Errorf("%v: %s with %v", s, got.Status, got.Containers)
		}
		for _, swap := range got.Containers {
			if from := s.workload().Containers[0].Current.String(); swap.Current != from || swap.Target != strings.Replace(from, ":1", ":2", 1) {
				t.Errorf("%v: %+v", s, swap)
			}
		}
	}
	if len(seen) != len(oracle) || refused == 0 {
		t.Errorf("rows of the oracle that were met: %v", seen)
	}
}

// TestImageThatIsNotThere: nothing is released that the registry does not have.
func TestImageThatIsNotThere(t *testing.T) {
	missing := func(ref.Ref) (string, error) { return "", errors.New("manifest unknown") }
	results, err := update.Release(update.Spec{All: true, Image: "quay.io/web:3"}, []update.Workload{scene{"repo": "yes", "cluster": "yes"}.workload()}, missing)
	if err == nil || err.Error() != "image quay.io/web:3 does not exist: manifest unknown" || results != nil {
		t.Errorf("%v, %v", results, err)
	}
}
