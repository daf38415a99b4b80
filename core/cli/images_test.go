package cli

import (
	"testing"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/limit"
)

func TestScanning(t *testing.T) {
	scans := []images.RepositoryStatus{
		{Repository: "quay.io/acme/done"},
		{Repository: "quay.io/acme/web", Scanning: true, Missing: 12},
	}
	budgets := []limit.Budget{{Host: "ghcr.io", Waiting: 3, RPS: 9}, {Host: "quay.io", Waiting: 1, RPS: 1}}
	text, live := scanning(scans, budgets)
	if want := "quay.io/acme/web is being read, quay.io allows 1 requests a second"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if want := text + "; 12 images to read"; live != want {
		t.Errorf("%q, want %q", live, want)
	}
	if text, _ := scanning(scans[:1], budgets); text != "" {
		t.Errorf("%q of nothing", text)
	}
}
