package edit_test

import (
	"testing"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

func TestFirst(t *testing.T) {
	in := "# c\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - name: app # x\n        image: nginx:1.27   # y\n"
	t.Logf("%+v", edit.Scan([]byte(in), edit.Options{}))
	out, errs := edit.Apply([]byte(in), edit.Options{}, []edit.Edit{{Workload: "default:deployment/web", Container: "app", Image: "nginx:1.28"},
		{Workload: "default:deployment/web", Set: map[string]string{"fluxcd.io/automated": "true"}}})
	t.Logf("%s\n%v", out, errs)
	out, errs = edit.Apply(out, edit.Options{}, []edit.Edit{{Workload: "default:deployment/web", Container: "app", Image: "nginx:1.27"},
		{Workload: "default:deployment/web", Remove: []string{"fluxcd.io/automated"}}})
	if string(out) != in {
		t.Fatalf("%s\n%v", out, errs)
	}
}
