package remote_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// dialects are the APIs with what they take for 250 tags, and for the next look
// at them when nothing changed.
var dialects = []struct {
	api          string
	native, tags int // requests for a listing with times
	next         int // requests when all is known
	names        int // requests for the names alone
}{
	{api: "google", tags: 1, next: 1, names: 1},
	{api: "quay", native: 3, next: 1, names: 3},
	{api: "dockerhub", native: 3, next: 1, names: 1},
	{api: "harbor", native: 3, next: 3, names: 1},
}

func TestDialects(t *testing.T) {
	t.Parallel()
	for _, tt := range dialects {
		t.Run(tt.api, func(t *testing.T) {
			r := registrytest.Start(t, registrytest.Options{Dialect: tt.api})
			want := fill(r, "team/app", 250)
			c, _ := newClient(t, remote.Host{Insecure: true, API: tt.api})
			r.Reset()
			got, listing, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{Times: true})
			if err != nil || !listing.Native || listing.Stopped {
				t.Fatalf("%+v, %v", listing, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tags (-want +got):\n%.2000s", diff)
			}
			if diff := cmp.Diff([]int{tt.native, tt.tags}, []int{r.Count("native"), r.Count("tags")}); diff != "" {
				t.Errorf("requests, native and by the protocol (-want +got):\n%s", diff)
			}

			r.Reset()
			o := remote.TagsOptions{Times: true, Known: func(tag registry.Tag) bool { return got[tag.Name] == tag }}
			_, listing, err = list(t, c, repo(r, "team/app"), o)
			if err != nil || r.Count() != tt.next || listing.Stopped != (tt.next < tt.native) {
				t.Errorf("again: %+v, %v, %d requests, want %d", listing, err, r.Count(), tt.next)
			}

			r.Reset()
			tags, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{})
			if err != nil || len(tags) != len(want) || r.Count("tags") != tt.names || r.Count() != tt.names {
				t.Errorf("names alone: %d tags, %v, requests %v", len(tags), err, r.Counts())
			}
		})
	}
}

// fill pushes images a minute apart, and returns their tags.
func fill(r *registrytest.Registry, repository string, n int) map[string]registry.Tag {
	start := time.Now().Truncate(time.Second).UTC().Add(-time.Duration(n) * time.Minute)
	var images []registrytest.Image
	for i := range n {
		at := start.Add(time.Duration(i) * time.Minute)
		images = append(images, registrytest.Image{Tags: []string{fmt.Sprintf("t%03d", (i*7919)%n)}, Pushed: at, Content: fmt.Sprint(i)})
	}
	want := map[string]registry.Tag{}
	for i, digest := range r.PushAll(repository, images) {
		name := images[i].Tags[0]
		want[name] = registry.Tag{Name: name, Digest: digest, Pushed: images[i].Pushed}
	}
	return want
}

// An API that does not show a repository is left alone for a while, and the
// registry protocol used.
func TestRefusingDialectFallsBack(t *testing.T) {
	for _, status := range []int{401, 403, 404} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			r := registrytest.Start(t, registrytest.Options{Dialect: "quay"})
			want := fill(r, "team/app", 3)
			r.SetFaults(registrytest.Fault{Class: "native", Status: status})
			c, _ := newClient(t, remote.Host{Insecure: true, API: "quay"})
			r.Reset()
			for i, requests := range []map[string]int{{"native": 1, "tags": 1}, {"tags": 1}} {
				tags, listing, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{Times: true})
				if err != nil || listing.Native || !slices.Equal(names(tags), slices.Sorted(maps.Keys(want))) {
					t.Errorf("%+v, %v, %v", listing, names(tags), err)
				}
				if diff := cmp.Diff(requests, r.Counts()); diff != "" {
					t.Errorf("requests of listing %d (-want +got):\n%s", i+1, diff)
				}
				r.Reset()
			}
		})
	}
}

// A later page that is refused makes the listing fail: what was emitted would
// be mixed with another listing.
func TestDialectThatFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Dialect: "dockerhub"})
	fill(r, "team/app", 250)
	c, _ := newClient(t, remote.Host{Insecure: true, API: "dockerhub"})
	for _, fault := range []registrytest.Fault{
		{Class: "native", Skip: 1, Status: 404},
		{Class: "native", Skip: 2, Status: 500},
		{Class: "native", Skip: 1, Cut: true},
		{Class: "native", Skip: 1, Status: 200, Body: "{}"},
	} {
		r.SetFaults(fault)
		if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{Times: true}); err == nil {
			t.Errorf("%+v: no error", fault)
		}
	}
}
