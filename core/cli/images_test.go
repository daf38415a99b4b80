package cli

import (
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/available"
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
	if want := "quay.io/acme/web is being read, as fast as quay.io allows"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if want := "quay.io/acme/web is being read, quay.io allows 1/s; 12 images to read"; live != want {
		t.Errorf("%q, want %q", live, want)
	}
	if text, _ := scanning(scans[:1], budgets); text != "" {
		t.Errorf("%q of nothing", text)
	}
}

func TestStanding(t *testing.T) {
	seen := &images.View{Scanned: time.Now().Add(-10 * time.Minute)}
	skipped := *seen
	skipped.Skipped = "excluded"
	tests := []struct {
		c    available.Images
		want string
	}{
		{available.Images{}, ""},
		{available.Images{Error: "refused"}, "refused"},
		{available.Images{View: &images.View{Skipped: "excluded"}}, ""},
		{available.Images{View: seen}, "seen 10m ago"},
		{available.Images{View: seen, Error: "refused"}, "seen 10m ago; refused"},
		{available.Images{View: &skipped}, "seen 10m ago; excluded"},
	}
	for _, tc := range tests {
		if got := standing(tc.c); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.c, got, tc.want)
		}
	}
}
