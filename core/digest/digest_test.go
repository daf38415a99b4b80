package digest_test

import (
	"testing"

	"github.com/sluice-gitops/sluice/core/digest"
)

func TestOf(t *testing.T) {
	// What is on disk was made by earlier processes: this must not change.
	const want = "42974a15c32cff7f08da0285"
	if got := digest.Of("release.ghost", map[string]int{"b": 2, "a": 1}, nil); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	seen := map[string][]any{}
	for _, values := range [][]any{{}, {nil}, {""}, {"ab"}, {"a", "b"}, {"a", "b", ""}, {[]string{"a", "b"}}} {
		d := digest.Of(values...)
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have the same digest", values, other)
		}
		seen[d] = values
	}
}
