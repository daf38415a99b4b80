package remote_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

const (
	ociConfig = "application/vnd.oci.image.config.v1+json"
	ociIndex  = "application/vnd.oci.image.index.v1+json"
	config    = `{"created":"2026-03-04T05:06:07Z","os":"linux","architecture":"arm64","config":{"Labels":{"a":"b"}}}`
)

func manifestOf(mediaType, digest, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q}%s}`, mediaType, digest, more)
}

func TestOddImages(t *testing.T) {
	o := newOddRegistry(t)
	arm64 := func(digest string) []cache.Platform {
		return []cache.Platform{{OS: "linux", Architecture: "arm64", Digest: digest}}
	}
	inline := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"data":%q}}`, ociConfig, digestOf(config), base64.StdEncoding.EncodeToString([]byte(config)))
	o.image("inline", ociManifest, inline, "")
	chart := manifestOf("application/vnd.cncf.helm.config.v1+json", digestOf("x"), "")
	o.image("chart", ociManifest, chart, "")
	artifact := manifestOf("application/vnd.oci.empty.v1+json", digestOf("{}"), `,"artifactType":"application/spdx+json"`)
	o.image("artifact", ociManifest, artifact, "")
	future := `{"mediaType":"application/vnd.example.thing.v9+json","things":[]}`
	o.image("future", "application/vnd.example.thing.v9+json", future, "")
	const empty = `{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers"}}`
	signature := manifestOf(ociConfig, digestOf(empty), `,"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json"}]`)
	o.image("sha256-aa.sig", ociManifest, signature, empty)
	lonely := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"platform":{"os":"unknown","architecture":"unknown"}}]}`, ociManifest, digestOf("x"))
	o.image("attested", ociIndex, lonely, "")
	one := manifestOf(ociConfig, digestOf(config), "")
	o.image(digestOf(one), ociManifest, one, config)
	nameless := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q},{"mediaType":%q,"digest":%q},{"mediaType":"application/vnd.other","digest":%q}]}`,
		ociIndex, digestOf("x"), ociManifest, digestOf(one), digestOf("y"))
	o.image("nameless", "application/json; charset=utf-8", nameless, "")
	schema1 := fmt.Sprintf(`{"schemaVersion":1,"name":"team/app","tag":"old","architecture":"amd64","history":[{"v1Compatibility":%q}]}`, config)
	o.image("old", "application/vnd.docker.distribution.manifest.v1+json", schema1, "")

	from := "the config"
	for tag, want := range map[string]cache.Image{
		"inline":        {Digest: digestOf(inline), MediaType: ociManifest, Created: made, CreatedFrom: from, Labels: map[string]string{"a": "b"}, Platforms: arm64(digestOf(inline))},
		"chart":         {Digest: digestOf(chart), MediaType: ociManifest, CreatedFrom: "not an image"},
		"artifact":      {Digest: digestOf(artifact), MediaType: ociManifest, CreatedFrom: "not an image"},
		"future":        {Digest: digestOf(future), MediaType: "application/vnd.example.thing.v9+json", CreatedFrom: "not an image"},
		"sha256-aa.sig": {Digest: digestOf(signature), MediaType: ociManifest, CreatedFrom: "the config tells 0001-01-01, as reproducible builds do"},
		"attested":      {Digest: digestOf(lonely), MediaType: ociIndex, CreatedFrom: "an index without images"},
		"nameless":      {Digest: digestOf(nameless), Created: made, CreatedFrom: from, Labels: map[string]string{"a": "b"}, Platforms: arm64(digestOf(one))},
		"old": {Digest: digestOf(schema1), MediaType: "application/vnd.docker.distribution.manifest.v1+json", Created: made, CreatedFrom: "the history",
			Labels: map[string]string{"a": "b"}, Platforms: arm64(digestOf(schema1))},
	} {
		c, _ := newClient(t, plain)
		got, err := c.Image(t.Context(), o.repo(), tag, remote.ImageOptions{})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, (-want +got):\n%s", tag, err, diff)
		}
	}
}

func TestUnreadableImages(t *testing.T) {
	o := newOddRegistry(t)
	const wrong = `{"os":"plan9"}`
	ok := manifestOf(ociConfig, digestOf(config), "")
	o.Handle("/v2/team/app/manifests/wrong-digest", body(200, ok, "Docker-Content-Digest", digestOf("x")))
	o.Handle("/v2/team/app/manifests/"+digestOf("x"), body(200, ok))
	o.image("wrong-config", ociManifest, manifestOf(ociConfig, digestOf(wrong), ""), "")
	o.Handle("/v2/team/app/blobs/"+digestOf(wrong), body(200, config))
	o.image("no-digest", ociManifest, manifestOf(ociConfig, "latest", ""), "")
	o.image("index-no-digest", ociIndex, `{"schemaVersion":2,"manifests":[{"digest":"../../x"}]}`, "")
	o.image("not-a-manifest", ociManifest, `{"hello":"world"}`, "")
	o.image("array", ociManifest, `[]`, "")
	o.image("history", ociManifest, `{"schemaVersion":1,"history":[]}`, "")
	o.image("history-nonsense", ociManifest, `{"schemaVersion":1,"history":[{"v1Compatibility":"x"}]}`, "")
	o.image("signed-without-digest", "application/vnd.docker.distribution.manifest.v1+prettyjws", "", "")
	o.Handle("/v2/team/app/manifests/huge", body(200, `{"pad":"`+strings.Repeat("x", 4<<20)+`"}`))
	o.image("media", ociManifest, `{"mediaType":"`+strings.Repeat("x", 300)+`"}`, "")
	o.image("platforms", ociIndex, `{"schemaVersion":2,"manifests":[`+strings.Repeat(fmt.Sprintf(`{"mediaType":%q,"digest":%q,"platform":{"os":"linux","architecture":"amd64"}},`, ociManifest, digestOf(ok)), 400)+
		fmt.Sprintf(`{"mediaType":%q,"digest":%q}]}`, ociManifest, digestOf(ok)), "")
	o.image(digestOf(ok), ociManifest, ok, config)
	for _, ref := range []string{"media", "platforms", "wrong-digest", digestOf("x"), "wrong-config", "no-digest", "index-no-digest", "not-a-manifest", "array", "history", "history-nonsense", "signed-without-digest", "huge"} {
		c, _ := newClient(t, plain)
		got, err := c.Image(t.Context(), o.repo(), ref, remote.ImageOptions{})
		if !remote.IsBroken(err) || !cmp.Equal(got, cache.Image{}) {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
	c, _ := newClient(t, plain)
	for _, ref := range []string{"", "a/b", "../x", "sha256:abc", "a b", "x?y"} {
		o.requests()
		if _, err := c.Image(t.Context(), o.repo(), ref, remote.ImageOptions{}); err == nil || len(o.requests()) > 0 {
			t.Errorf("the tag %q: %v", ref, err)
		}
	}
	for _, name := range []string{"", "a//b", "../x", "a/./b", "/a"} {
		req := o.repo()
		req.Repository = name
		if _, err := c.Head(t.Context(), req, "1"); err == nil || len(o.requests()) > 0 {
			t.Errorf("the repository %q: %v", name, err)
		}
	}
}

// signed makes a manifest of schema 1 with a signature, which more follows.
func signed(content, more string) string {
	head, tail := strings.TrimSuffix(content, "\n}"), "\n}"
	protected := fmt.Sprintf(`{"formatLength":%d,"formatTail":%q}`, len(head), base64.RawURLEncoding.EncodeToString([]byte(tail)))
	return fmt.Sprintf(`%s,"signatures":[{"signature":"x","protected":%q}]%s}`, head, base64.RawURLEncoding.EncodeToString([]byte(protected)), more)
}

// Whatever a registry says: nothing is recorded of a digest but what it is the
// digest of, or one registry could tell the time of another's images.
func TestSignaturesVouchForNothing(t *testing.T) {
	o := newOddRegistry(t)
	const media = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	content := fmt.Sprintf("{\n\"schemaVersion\":1,\"history\":[{\"v1Compatibility\":%q}]\n}", config)
	forged := fmt.Sprintf(`,"history":[{"v1Compatibility":%q}]`, `{"created":"2031-01-01T00:00:00Z"}`)
	other := signed(fmt.Sprintf("{\n\"schemaVersion\":1%s\n}", forged), "")
	victim := digestOf(manifestOf(ociConfig, digestOf(config), ""))

	o.Handle("/v2/team/app/manifests/good", body(200, signed(content, ""), "Content-Type", media, "Docker-Content-Digest", digestOf(content)))
	o.Handle("/v2/team/app/manifests/untold", body(200, signed(content, ""), "Content-Type", media))
	o.Handle("/v2/team/app/manifests/doubled", body(200, signed(content, forged), "Content-Type", media, "Docker-Content-Digest", digestOf(content)))
	for _, tag := range []string{"good", "untold", "doubled"} {
		c, _ := newClient(t, plain)
		got, err := c.Image(t.Context(), o.repo(), tag, remote.ImageOptions{})
		if err != nil || got.Digest != digestOf(content) || !got.Created.Equal(made) || got.MediaType != media {
			t.Errorf("%s: %+v, %v", tag, got, err)
		}
	}
	o.Handle("/v2/team/app/manifests/forged", body(200, other, "Content-Type", media, "Docker-Content-Digest", victim))
	o.Handle("/v2/team/app/manifests/"+victim, body(200, other, "Content-Type", media))
	o.Handle("/v2/team/app/manifests/vague", body(200, `{"schemaVersion":1,"signatures":[{"protected":"e30"}]}`, "Content-Type", media, "Docker-Content-Digest", victim))
	o.Handle("/v2/team/app/manifests/negative", body(200, `{"schemaVersion":1,"signatures":[{"protected":"`+
		base64.RawURLEncoding.EncodeToString([]byte(`{"formatLength":-1}`))+`"}]}`, "Content-Type", media, "Docker-Content-Digest", victim))
	for _, ref := range []string{"forged", victim, "vague", "negative"} {
		c, _ := newClient(t, plain)
		if got, err := c.Image(t.Context(), o.repo(), ref, remote.ImageOptions{}); !remote.IsBroken(err) {
			t.Errorf("%s: %+v, %v", ref, got, err)
		}
	}
}

// Registries that do not tell a digest with HEAD, or do not know HEAD.
func TestHeadFallsBackToGet(t *testing.T) {
	for _, head := range []http.HandlerFunc{body(200, ""), body(405, ""), body(200, "", "Docker-Content-Digest", "nonsense")} {
		o := newOddRegistry(t)
		ok := manifestOf(ociConfig, digestOf(config), "")
		o.Handle("HEAD /v2/team/app/manifests/1", head)
		o.Handle("GET /v2/team/app/manifests/1", body(200, ok))
		c, _ := newClient(t, plain)
		got, err := c.Head(t.Context(), o.repo(), "1")
		if err != nil || got != digestOf(ok) {
			t.Errorf("%s, %v", got, err)
		}
	}
}
