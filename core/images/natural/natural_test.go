package natural_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/natural"
)

func TestCompare(t *testing.T) {
	want := []string{"", "1.9", "1.10", "1.10.0", "1.010.1", "app-9-z", "app-10-a", "latest", "v1", "v2", "v10",
		"v123456789012345678901234567890", "v123456789012345678901234567891"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, natural.Compare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if natural.Compare("1.01", "1.1") == 0 || natural.Compare("1.01", "1.1") != -natural.Compare("1.1", "1.01") {
		t.Error("names that differ are equal, or the order is not total")
	}
}
