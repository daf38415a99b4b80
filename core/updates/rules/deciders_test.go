package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// TestLinkMarkers: rendered containers have the markers of what they are
// rendered from, and of nothing else.
func TestLinkMarkers(t *testing.T) {
	at := func(policy string) []edit.Marker { return []edit.Marker{{Policy: policy, Line: 7}} }
	workload := func(id, file, container, image string, markers []edit.Marker) edit.Workload {
		return edit.Workload{ID: id, File: file, Containers: []edit.Container{{Name: container, Image: image, Markers: markers}}}
	}
	sources := edit.Found{
		Markers: []edit.Marker{{Policy: "base"}, {Policy: "entry"}},
		Workloads: []edit.Workload{
			workload("default:deployment/web", "base/web.yaml", "main", "reg.invalid/web:1", at("base")),
			workload("default:deployment/api", "base/api.yaml", "main", "reg.invalid/api:1", nil),
		},
		Kustomize: []edit.KustomizeImage{{Name: "app", NewName: "reg.invalid/app", NewTag: "2", File: "prod/kustomization.yaml", Markers: at("entry")}},
	}
	rendered := []edit.Workload{
		workload("shop:deployment/prod-web", "base/web.yaml", "main", "reg.invalid/web:1", nil),
		workload("shop:deployment/prod-api", "base/api.yaml", "main", "reg.invalid/api:1", nil),
		workload("shop:deployment/prod-app", "base/app.yaml", "main", "reg.invalid/app:2", nil),
		workload("shop:deployment/prod-old", "base/web.yaml", "main", "reg.invalid/web:0", nil),
	}
	LinkMarkers(rendered, sources)
	var got []string
	for _, w := range rendered {
		for _, m := range w.Containers[0].Markers {
			got = append(got, w.ID+" "+m.Policy+" "+m.File)
		}
	}
	if diff := cmp.Diff([]string{"shop:deployment/prod-web base base/web.yaml", "shop:deployment/prod-app entry prod/kustomization.yaml"}, got); diff != "" {
		t.Error(diff)
	}
}
