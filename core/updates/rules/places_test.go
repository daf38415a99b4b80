package rules

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestPlaceImages: what is rendered says where its image stands in the sources.
func TestPlaceImages(t *testing.T) {
	ref := applier.Ref{Kind: "Deployment", Name: "web"}
	sources := edit.Found{
		Workloads: []edit.Workload{{File: "base/d.yaml", Line: 1, Ref: ref, Containers: []edit.Container{
			{Name: "web", Image: "r/app:1.0.0", Line: 14}, {Name: "side", Image: "r/side:1.0.0", Line: 16},
		}}},
		Kustomize: []edit.KustomizeImage{{Name: "r/app", NewTag: "1.1.0", File: "ov/kustomization.yaml", Line: 6}},
	}
	rendered := []edit.Workload{{File: "base/d.yaml", Line: 1, Ref: ref, Containers: []edit.Container{
		{Name: "web", Image: "r/app:1.1.0", Line: 1}, {Name: "side", Image: "r/side:1.0.0", Line: 1}, {Name: "patched", Image: "r/x:1", Line: 1},
	}}, {File: "copy.yaml", Line: 1, Ref: ref, Containers: []edit.Container{{Name: "web", Image: "r/app:1.1.0", Line: 9}}}}
	PlaceImages(rendered, sources)
	var got []string
	for _, w := range rendered {
		for _, c := range w.Containers {
			got = append(got, fmt.Sprintf("%s %s:%d", c.Name, c.File, c.Line))
		}
	}
	want := []string{"web ov/kustomization.yaml:6", "side base/d.yaml:16", "patched :1", "web :9"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
