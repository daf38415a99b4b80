package images_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
)

// TestTrustedLabels: builds without a time of their own are ordered by labels,
// where these are trusted, and only there.
func TestTrustedLabels(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{TrustLabels: []string{"registry.test/trusted*"}})
	when := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, repository := range []string{"trusted", "other"} {
		reg.Push(repository, registrytest.Image{Tags: []string{"oci"}, Created: registrytest.Epoch,
			Labels: map[string]string{"org.opencontainers.image.created": when.Format(time.RFC3339)}})
		reg.Push(repository, registrytest.Image{Tags: []string{"schema"}, Created: registrytest.Epoch,
			Labels: map[string]string{"org.label-schema.build-date": when.Add(time.Hour).Format(time.RFC3339)}})
		reg.Push(repository, registrytest.Image{Tags: []string{"neither"}, Created: registrytest.Epoch,
			Labels: map[string]string{"org.opencontainers.image.created": "yesterday"}})
		reg.Push(repository, registrytest.Image{Tags: []string{"config"}, Created: when.Add(-time.Hour)})
	}
	trusted, other := r.target("shop", "trusted", "oci", "*"), r.target("shop", "other", "oci", "*")
	r.scan(trusted, other)
	v := r.view(trusted)
	if got := names(v.Tags); got[0] != "schema" || got[1] != "oci" || got[2] != "config" || v.Tags[0].From != "label" || !v.Tags[1].Created.Equal(when) {
		t.Errorf("%+v", v.Tags)
	}
	if neither := tag(t, v, "neither"); neither.Problem == "" || !v.Complete {
		t.Errorf("complete %v: %+v", v.Complete, neither)
	}
	v = r.view(other)
	if got := names(v.Tags); got[0] != "config" || !strings.HasSuffix(tag(t, v, "oci").Problem, "; its label says 2026-05-04T03:02:01Z, which trust_labels would take") {
		t.Errorf("where labels are not trusted: %+v", v.Tags)
	}
}

// TestResolve: without a policy nothing is read until somebody asks, and then
// only what was asked for.
func TestResolve(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.PushAll("app", builds(12))
	app := r.target("shop", "app", "1.3.0", "")
	r.scan(app)
	v := r.view(app)
	if v.Tags[0].Name != "1.11.0" || v.Tags[2].Name != "1.9.0" || !v.Tags[0].Created.IsZero() {
		t.Errorf("%v", names(v.Tags))
	}
	reg.Reset()
	for range 2 {
		if err := r.Resolve(t.Context(), app, []string{"1.11.0", "1.3.0", "no-such-tag"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := answered(reg); got["manifest-get"] != 4 || got["blob"] != 2 || reg.Count("manifest-get") != 5 {
		t.Errorf("requests %v, %d for manifests", got, reg.Count("manifest-get"))
	}
	v = r.view(app)
	if tag(t, v, "1.11.0").Created.IsZero() || tag(t, v, "1.3.0").Digest == "" || !tag(t, v, "1.10.0").Created.IsZero() {
		t.Errorf("%+v", v.Tags)
	}
}
