package conformance

import (
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// inspectsObjects finds the sample objects by what people call them, and finds
// none that are not there.
func inspectsObjects(t T, a *openApplier) {
	if !slices.Contains(a.caps, applier.CanInspect) {
		t.Skipf("the applier lacks the capability %s", applier.CanInspect)
	}
	results, _ := a.apply(t, a.samples(t))
	for _, r := range results {
		q := applier.Inquiry{Kind: strings.ToLower(r.Ref.Kind), Group: r.Ref.Group, Namespace: r.Ref.Namespace, Name: r.Ref.Name, Annotations: []string{"conformance.sluice.dev/no-such"}}
		found, err := a.Inspect(t.Context(), q)
		if err != nil || found.Ref.Identity() != r.Ref.Identity() {
			t.Errorf("Inspect of %s: %s, %v", r.Ref, found.Ref, err)
		}
		if len(found.Annotations) > 0 {
			t.Errorf("Inspect of %s returns annotations that nobody asked for: %v", r.Ref, found.Annotations)
		}
		q.Name += "-conformance-no-such"
		if found, err := a.Inspect(t.Context(), q); !errors.Is(err, applier.ErrNoResource) {
			t.Errorf("Inspect of %s, which does not exist: %s, %v; want ErrNoResource", q.Name, found.Ref, err)
		}
	}
	q := applier.Inquiry{Kind: "conformancenosuchkind", Name: "x"}
	if found, err := a.Inspect(t.Context(), q); !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("Inspect of a kind that nobody knows: %s, %v; want ErrNoResource", found.Ref, err)
	}
}
