package remote_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

var made = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestImages(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	labels := map[string]string{"org.opencontainers.image.revision": "abc"}
	annotations := map[string]string{"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}
	platforms := []string{"linux/arm64/v8", "linux/amd64", "windows/amd64"}
	want := []cache.Platform{{OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "linux", Architecture: "amd64"}, {OS: "windows", Architecture: "amd64"}}
	amd64 := []cache.Platform{{OS: "linux", Architecture: "amd64"}}
	const (
		ociIndex    = "application/vnd.oci.image.index.v1+json"
		ociManifest = "application/vnd.oci.image.manifest.v1+json"
		dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
		schema2     = "application/vnd.docker.distribution.manifest.v2+json"
	)
	for _, tt := range []struct {
		tag      string
		image    registrytest.Image
		trust    bool
		want     cache.Image
		requests int
	}{
		{"oci", registrytest.Image{Created: made, Labels: labels}, false,
			cache.Image{MediaType: ociManifest, Created: made, CreatedFrom: "the config", Labels: labels, Platforms: amd64}, 2},
		{"docker", registrytest.Image{Created: made, Docker: true}, false,
			cache.Image{MediaType: schema2, Created: made, CreatedFrom: "the config", Platforms: amd64}, 2},
		{"oci-index", registrytest.Image{Created: made, Platforms: platforms, Attestations: true, Annotations: annotations}, false,
			cache.Image{MediaType: ociIndex, Created: made.Add(time.Second), CreatedFrom: "the config", Platforms: want, Annotations: annotations}, 3},
		{"docker-list", registrytest.Image{Created: made, Platforms: platforms, Docker: true}, false,
			cache.Image{MediaType: dockerList, Created: made.Add(time.Second), CreatedFrom: "the config", Platforms: want}, 3},
		{"trusted", registrytest.Image{Created: made, Platforms: platforms, Annotations: annotations}, true,
			cache.Image{MediaType: ociIndex, Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CreatedFrom: "the annotation org.opencontainers.image.created", Platforms: want, Annotations: annotations}, 1},
		{"trusted-without", registrytest.Image{Created: made}, true,
			cache.Image{MediaType: ociManifest, Created: made, CreatedFrom: "the config", Platforms: amd64}, 2},
		{"epoch", registrytest.Image{Created: registrytest.Epoch}, false,
			cache.Image{MediaType: ociManifest, CreatedFrom: "the config tells 1970-01-01, as reproducible builds do", Platforms: amd64}, 2},
		{"silent", registrytest.Image{}, false,
			cache.Image{MediaType: ociManifest, CreatedFrom: "the config tells 0001-01-01, as reproducible builds do", Platforms: amd64}, 2},
	} {
		t.Run(tt.tag, func(t *testing.T) {
			tt.image.Tags = []string{tt.tag}
			tt.want.Digest = r.Push("team/app", tt.image)
			c, _ := newClient(t, plain)
			for _, ref := range []string{tt.tag, tt.want.Digest} {
				r.Reset()
				got, err := c.Image(t.Context(), repo(r, "team/app"), ref, remote.ImageOptions{TrustLabels: tt.trust})
				if err != nil {
					t.Fatal(err)
				}
				for i, p := range got.Platforms {
					if !strings.HasPrefix(p.Digest, "sha256:") || len(got.Platforms) > 1 && p.Digest == got.Digest {
						t.Errorf("platform %d has the digest %q", i, p.Digest)
					}
				}
				if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(cache.Platform{}, "Digest"), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("image %s (-want +got):\n%s", ref, diff)
				}
				if n := r.Count(); n != tt.requests {
					t.Errorf("%d requests for %s, want %d", n, ref, tt.requests)
				}
			}
		})
	}
}

// What is recorded is not asked for again.
func TestKnownImageCostsOneRequest(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	digest := r.Push("team/app", registrytest.Image{Tags: []string{"1.0", "latest"}, Platforms: []string{"linux/amd64", "linux/arm64"}})
	c, _ := newClient(t, plain)
	recorded := cache.Image{Digest: digest, CreatedFrom: "the record"}
	o := remote.ImageOptions{Known: func(d string) (cache.Image, bool) { return recorded, d == digest }}
	for _, tt := range []struct {
		name, ref, last string
		status          []int
	}{
		{"another tag", "1.0", "", []int{200}},
		{"an unchanged tag", "latest", digest, []int{304}},
		{"a digest", digest, "", nil},
	} {
		r.Reset()
		o.Last = tt.last
		got, err := c.Image(t.Context(), repo(r, "team/app"), tt.ref, o)
		if err != nil || got.CreatedFrom != "the record" {
			t.Errorf("%s: %+v, %v, want the record", tt.name, got, err)
		}
		var status []int
		for _, q := range r.Requests() {
			status = append(status, q.Status)
		}
		if diff := cmp.Diff(tt.status, status); diff != "" {
			t.Errorf("%s: answers (-want +got):\n%s", tt.name, diff)
		}
	}
	moved := r.Push("team/app", registrytest.Image{Tags: []string{"latest"}, Content: "new"})
	if got, err := c.Image(t.Context(), repo(r, "team/app"), "latest", o); err != nil || got.Digest != moved {
		t.Errorf("the tag that moved: %+v, %v, want %s", got, err, moved)
	}
}

func TestBrokenImages(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	for how, check := range map[registrytest.Broken]func(cache.Image, error) bool{
		registrytest.NoConfig:     func(_ cache.Image, err error) bool { return remote.IsNotFound(err) },
		registrytest.NoChild:      func(_ cache.Image, err error) bool { return remote.IsNotFound(err) },
		registrytest.NotJSON:      func(_ cache.Image, err error) bool { return remote.IsBroken(err) },
		registrytest.NotAManifest: func(_ cache.Image, err error) bool { return remote.IsBroken(err) },
		registrytest.NotAConfig:   func(_ cache.Image, err error) bool { return remote.IsBroken(err) },
		registrytest.HugeManifest: func(_ cache.Image, err error) bool { return remote.IsBroken(err) },
		registrytest.BadCreated: func(i cache.Image, err error) bool {
			return err == nil && i.Created.IsZero() && strings.Contains(i.CreatedFrom, "is no time") && len(i.Platforms) == 1
		},
		registrytest.Artifact: func(i cache.Image, err error) bool {
			return err == nil && i.CreatedFrom == "not an image" && len(i.Platforms) == 0
		},
	} {
		tag := strings.ReplaceAll(string(how), " ", "-")
		digest := r.PushBroken("team/app", tag, how)
		c, _ := newClient(t, plain)
		got, err := c.Image(t.Context(), repo(r, "team/app"), tag, remote.ImageOptions{})
		if !check(got, err) || err == nil && got.Digest != digest {
			t.Errorf("%s: %+v, %v", how, got, err)
		}
		t.Logf("%s: %v", how, err)
	}
}
