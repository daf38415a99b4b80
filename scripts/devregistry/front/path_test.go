package front

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

func TestClass(t *testing.T) {
	for _, c := range []struct {
		method, path string
		class        record.Class
		repository   string
	}{
		{"GET", "/v2/", record.Ping, ""},
		{"GET", "/token", record.Token, ""},
		{"POST", "/token", record.Token, ""},
		{"GET", "/v2/app/tags/list", record.Tags, "app"},
		{"GET", "/v2/tags/list/tags/list", record.Tags, "tags/list"},
		{"HEAD", "/v2/a/b/manifests/latest", record.ManifestHead, "a/b"},
		{"GET", "/v2/manifests/x/manifests/latest", record.ManifestGet, "manifests/x"},
		{"HEAD", "/v2/a/blobs/sha256:0", record.Blob, "a"},
		{"PUT", "/v2/a/manifests/latest", record.Push, "a"},
		{"PATCH", "/v2/a/blobs/uploads/123", record.Push, "a"},
		{"GET", "/v2/_catalog", record.Other, ""},
		{"GET", "/v2/a/referrers/sha256:0", record.Other, ""},
		{"GET", "/", record.Other, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, http.NoBody)
		if got := Class(r); got != c.class {
			t.Errorf("%s %s is %s, want %s", c.method, c.path, got, c.class)
		}
		if got := Repository(c.path); got != c.repository {
			t.Errorf("%s is in %q, want %q", c.path, got, c.repository)
		}
	}
}
