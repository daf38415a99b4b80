package registrytest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const accepted = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " +
	"application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"

// get asks the front, and returns the body of an answer with that status.
func get(t *testing.T, r *Registry, path string, status int) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accepted)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.Pool()}, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("GET %s: %s, want %d\n%s", path, resp.Status, status, body)
	}
	return string(body), resp.Header
}

func decode[T any](t *testing.T, body string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v in %.200q", err, body)
	}
	return v
}

func TestImages(t *testing.T) {
	r := Start(t, Options{})
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, docker := range map[string]bool{"oci": false, "docker": true} {
		t.Run(name, func(t *testing.T) {
			repository := "team/" + name
			digest := r.Push(repository, Image{Tags: []string{"1.0", "latest"}, Created: created, Labels: map[string]string{"a": "b"}, Docker: docker})
			body, header := get(t, r, "/v2/"+repository+"/manifests/1.0", http.StatusOK)
			if got := header.Get("Docker-Content-Digest"); got != digest {
				t.Errorf("digest %s, want %s", got, digest)
			}
			m := decode[v1.Manifest](t, body)
			config, _ := get(t, r, "/v2/"+repository+"/blobs/"+m.Config.Digest.String(), http.StatusOK)
			c := decode[v1.ConfigFile](t, config)
			if !c.Created.Equal(created) || c.Config.Labels["a"] != "b" {
				t.Errorf("config %+v", c)
			}
			get(t, r, "/v2/"+repository+"/blobs/"+m.Layers[0].Digest.String(), http.StatusOK)

			r.Push(repository, Image{
				Tags: []string{"2.0"}, Created: created, Docker: docker, Attestations: true, Platforms: []string{"linux/amd64", "linux/arm64/v8"},
			})
			body, header = get(t, r, "/v2/"+repository+"/manifests/2.0", http.StatusOK)
			index := decode[v1.IndexManifest](t, body)
			if got := header.Get("Content-Type"); got != string(index.MediaType) || index.MediaType.IsIndex() == false {
				t.Errorf("media type %q, in the index %q", got, index.MediaType)
			}
			var platforms []string
			for i, d := range index.Manifests {
				platforms = append(platforms, d.Platform.String())
				if attested := d.Annotations["vnd.docker.reference.digest"]; i >= 2 && attested != index.Manifests[i-2].Digest.String() {
					t.Errorf("attestation of %q", attested)
				}
				get(t, r, "/v2/"+repository+"/manifests/"+d.Digest.String(), http.StatusOK)
			}
			if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64/v8", "unknown/unknown", "unknown/unknown"}, platforms); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBroken(t *testing.T) {
	r := Start(t, Options{})
	for i, how := range []Broken{NoConfig, NoChild, NotJSON, NotAManifest, NotAConfig, BadCreated, HugeManifest, Artifact} {
		t.Run(string(how), func(t *testing.T) {
			tag := fmt.Sprintf("v%d", i)
			digest := r.PushBroken("broken", tag, how)
			body, header := get(t, r, "/v2/broken/manifests/"+tag, http.StatusOK)
			if got := header.Get("Docker-Content-Digest"); got != digest {
				t.Errorf("digest %s, want %s", got, digest)
			}
			switch how {
			case NotJSON:
				if json.Valid([]byte(body)) {
					t.Errorf("%s is JSON", body)
				}
			case NoConfig:
				get(t, r, "/v2/broken/blobs/"+decode[v1.Manifest](t, body).Config.Digest.String(), http.StatusNotFound)
			case NoChild:
				get(t, r, "/v2/broken/manifests/"+decode[v1.IndexManifest](t, body).Manifests[0].Digest.String(), http.StatusNotFound)
			}
		})
	}
}

func TestControl(t *testing.T) {
	r := Start(t, Options{})
	digest := r.Push("app", Image{Tags: []string{"a"}, Pushed: Epoch})
	r.ManyTags("app", "a", []string{"b", "c"})
	want := []Tag{{"a", digest, Epoch}, {"b", digest, time.Time{}}, {"c", digest, time.Time{}}}
	got := r.Tags("app")
	for i := range got[1:] {
		if time.Since(got[i+1].Pushed) > time.Hour {
			t.Errorf("%s was pushed at %s", got[i+1].Name, got[i+1].Pushed)
		}
		got[i+1].Pushed = time.Time{}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	r.Untag("app", "b")
	if body, _ := get(t, r, "/v2/app/tags/list", http.StatusOK); body != `{"name":"app","tags":["a","c"]}`+"\n" {
		t.Errorf("tags %s", body)
	}

	r.Reset()
	r.SetFaults(Fault{Class: "tags", Path: "^/v2/app/", Skip: 1, Count: 1, Status: 503, Header: map[string]string{"Retry-After": "7"}, Body: "later"})
	get(t, r, "/v2/app/tags/list", http.StatusOK)
	if body, header := get(t, r, "/v2/app/tags/list", 503); body != "later" || header.Get("Retry-After") != "7" {
		t.Errorf("%s, Retry-After %s", body, header.Get("Retry-After"))
	}
	get(t, r, "/v2/app/tags/list", http.StatusOK)
	get(t, r, "/v2/app/manifests/a", http.StatusOK)
	if diff := cmp.Diff(map[string]int{"tags": 3, "manifest-get": 1}, r.Counts()); diff != "" {
		t.Error(diff)
	}

	r.SetFaults()
	r.SetLimit(Limit{RPS: 0.001, Burst: 1})
	get(t, r, "/v2/app/tags/list", http.StatusOK)
	get(t, r, "/v2/app/tags/list", http.StatusTooManyRequests)
	r.SetLimit(Limit{})
	get(t, r, "/v2/app/tags/list", http.StatusOK)
}

func TestOptions(t *testing.T) {
	r := Start(t, Options{TLS: true, Auth: "token", Users: []User{{Name: "ann", Password: "p"}}, TokenLife: time.Minute})
	r.Push("app", Image{Tags: []string{"a"}})
	_, header := get(t, r, "/v2/app/tags/list", http.StatusUnauthorized)
	want := fmt.Sprintf(`Bearer realm="https://%s/token",service="devregistry",scope="repository:app:pull"`, r.Host)
	if got := header.Get("WWW-Authenticate"); got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
}

func BenchmarkPushAll(b *testing.B) {
	r := Start(b, Options{})
	images := make([]Image, 1000)
	for i := range images {
		images[i] = Image{Tags: []string{fmt.Sprintf("1.%d", i)}, Platforms: []string{"linux/amd64", "linux/arm64"}, Content: fmt.Sprint(i)}
	}
	for b.Loop() {
		r.PushAll("app", images)
	}
}
