package images_test

import (
	"testing"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// The advice in an error of a registry is for the workload, whose credential was
// refused.
func TestAdvised(t *testing.T) {
	image, err := ref.Parse("quay.io/acme/web:1")
	if err != nil {
		t.Fatal(err)
	}
	target := images.Target{Workload: "shop:deployment/web", Image: image}
	for text, want := range map[string]string{
		"the tags: 401 (see: sluice credentials explain quay.io/acme/web)":  "the tags: 401 (see: sluice credentials explain quay.io/acme/web -w shop:deployment/web)",
		"the tags: 401 (see: sluice credentials explain quay.io/acme/webs)": "the tags: 401 (see: sluice credentials explain quay.io/acme/webs)",
		"the tags: connection refused":                                      "the tags: connection refused",
	} {
		if got := target.Advised(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
