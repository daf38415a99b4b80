package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// page asks for a listing and decodes it.
func page[T any](t *testing.T, r ready, url string) (v T, header http.Header) {
	t.Helper()
	status, body, header := request(t, r, http.MethodGet, url, "")
	if status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", url, status, body)
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("GET %s: %v in %s", url, err, body)
	}
	return v, header
}

func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

// Google's own reader of the format reads it.
func TestGoogleDialect(t *testing.T) {
	r := start(t, "-dialect", "google")
	fill(t, r, "project/app", 3)
	repo, err := name.NewRepository(r.Registry + "/project/app")
	if err != nil {
		t.Fatal(err)
	}
	list, err := google.List(repo, google.WithContext(t.Context()), google.WithTransport(client(t, r).Transport))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v0", "v1", "v2"}, list.Tags); diff != "" {
		t.Error(diff)
	}
	times := map[string]time.Time{}
	for digest, m := range list.Manifests {
		if !strings.HasPrefix(digest, "sha256:") || m.MediaType != "application/vnd.oci.image.index.v1+json" {
			t.Errorf("%s: %+v", digest, m)
		}
		for _, tag := range m.Tags {
			times[tag] = m.Uploaded.UTC()
		}
	}
	if diff := cmp.Diff(map[string]time.Time{"v0": day(0), "v1": day(1), "v2": day(2)}, times); diff != "" {
		t.Error(diff)
	}
}

func TestQuayDialect(t *testing.T) {
	r := start(t, "-dialect", "quay")
	fill(t, r, "team/app", 3)
	type answer struct {
		Tags []struct {
			Name           string
			StartTS        int64  `json:"start_ts"`
			ManifestDigest string `json:"manifest_digest"`
			LastModified   string `json:"last_modified"`
		}
		HasAdditional bool `json:"has_additional"`
	}
	url := "http://" + r.Registry + "/api/v1/repository/team/app/tag/?onlyActiveTags=true&limit=2&page="
	first, _ := page[answer](t, r, url+"1")
	second, _ := page[answer](t, r, url+"2")
	if !first.HasAdditional || second.HasAdditional || len(first.Tags) != 2 || len(second.Tags) != 1 {
		t.Fatalf("pages %+v, %+v", first, second)
	}
	if got := first.Tags[0]; got.Name != "v2" || got.StartTS != day(2).Unix() || got.LastModified != "Sat, 03 Jan 2026 00:00:00 +0000" || !strings.HasPrefix(got.ManifestDigest, "sha256:") {
		t.Errorf("newest tag %+v", got)
	}
	if status, _, _ := request(t, r, http.MethodGet, "http://"+r.Registry+"/api/v1/repository/none/tag/", ""); status != 404 {
		t.Errorf("no repository: %d, want 404", status)
	}
}

func TestHarborDialect(t *testing.T) {
	r := start(t, "-dialect", "harbor", "-auth", "token", "-user", "ann:s3cret")
	fill(t, r, "project/a/b", 3)
	type artifact struct {
		Digest   string
		PushTime time.Time `json:"push_time"`
		Tags     []struct {
			Name     string
			PushTime time.Time `json:"push_time"`
		}
	}
	host := "http://ann:s3cret@" + r.Registry
	path := "/api/v2.0/projects/project/repositories/a%252Fb/artifacts?with_tag=true&sort=-push_time&page_size=2"
	first, header := page[[]artifact](t, r, host+path)
	next, _, ok := strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), `>; rel="next"`)
	if !ok || len(first) != 2 || first[0].Tags[0].Name != "v2" || !first[0].PushTime.Equal(day(2)) || header.Get("X-Total-Count") != "3" {
		t.Fatalf("first page %+v, %v", first, header)
	}
	second, header := page[[]artifact](t, r, host+next)
	if len(second) != 1 || second[0].Tags[0].Name != "v0" || header.Get("Link") != "" {
		t.Errorf("second page %+v, %v", second, header)
	}
	for url, want := range map[string]int{
		"http://" + r.Registry + path:                                   401,
		host + strings.Replace(path, "page_size=2", "page_size=101", 1): 422,
		host + strings.Replace(path, "a%252Fb", "none", 1):              404,
	} {
		if status, _, _ := request(t, r, http.MethodGet, url, ""); status != want {
			t.Errorf("%s: %d, want %d", url, status, want)
		}
	}
}

func TestDockerHubDialect(t *testing.T) {
	r := start(t, "-dialect", "dockerhub")
	fill(t, r, "library/app", 3)
	type answer struct {
		Count   int
		Next    *string
		Results []struct {
			Name, Digest  string
			LastUpdated   time.Time `json:"last_updated"`
			TagLastPushed time.Time `json:"tag_last_pushed"`
		}
	}
	first, _ := page[answer](t, r, "http://"+r.Registry+"/v2/repositories/library/app/tags?page_size=2&ordering=last_updated")
	if first.Count != 3 || first.Next == nil || len(first.Results) != 2 || first.Results[0].Name != "v2" || !first.Results[0].TagLastPushed.Equal(day(2)) {
		t.Fatalf("first page %+v", first)
	}
	second, _ := page[answer](t, r, *first.Next)
	if second.Next != nil || len(second.Results) != 1 || second.Results[0].Name != "v0" {
		t.Errorf("second page %+v", second)
	}
	drive(t, r, http.MethodDelete, "/requests", "")
	request(t, r, http.MethodGet, "http://"+r.Registry+"/v2/repositories/library/none/tags", "")
	if got := requests(t, r); got[0].Class != "native" || got[0].Status != 404 {
		t.Errorf("%+v, want native, 404", got[0])
	}
}
