package edit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// entry is one of a kustomization's images.
func entry(name, newName, tag string) string {
	text := "- name: " + name + "\n"
	if newName != "" {
		text += "  newName: " + newName + "\n"
	}
	return text + "  newTag: " + tag + "\n"
}

// TestEntriesOfOneName: the same name may be another image in another
// kustomization, and an edit touches only what it was decided for.
func TestEntriesOfOneName(t *testing.T) {
	files := map[string]string{
		"a/kustomization.yaml": "images:\n" + entry("app", "reg/a", "1.0.0"),
		"b/kustomization.yaml": "images:\n" + entry("app", "reg/b", "1.0.0"),
		"staging.yaml":         "images:\n" + entry("app", "reg/a", "1.0.5"),
		"flux.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - {name: web, newTag: 2.0.0}\n---\n" +
			"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - {name: web, newTag: 1.0.0}\n  - {name: web, newTag: 1.1.0}\n",
	}
	tr := open(t, tree(t, files), edit.TreeOptions{})
	for name, tt := range map[string]struct {
		edit edit.Edit
		want []string // lines that differ afterwards
		err  string
	}{
		"of the same image":     {edit.Edit{Kustomize: "app", Image: "reg/a:1.1.0"}, []string{"a/kustomization.yaml:   newTag: 1.1.0", "staging.yaml:   newTag: 1.1.0"}, ""},
		"of what it was":        {edit.Edit{Kustomize: "app", Image: "reg/a:1.1.0", From: "reg/a:1.0.0"}, []string{"a/kustomization.yaml:   newTag: 1.1.0"}, ""},
		"in one file":           {edit.Edit{Kustomize: "app", Image: "reg/a:1.1.0", File: "staging.yaml", Nth: 1}, []string{"staging.yaml:   newTag: 1.1.0"}, ""},
		"another new name":      {edit.Edit{Kustomize: "app", Image: "reg/c:1.0.0", From: "reg/b:1.0.0"}, []string{"b/kustomization.yaml:   newName: reg/c"}, ""},
		"of another image":      {edit.Edit{Kustomize: "app", Image: "reg/a:1.1.0", File: "b/kustomization.yaml", Nth: 1}, nil, "b/kustomization.yaml:2: the entry app makes reg/b:1.0.0 of it, which is another image than reg/a:1.1.0"},
		"changed meanwhile":     {edit.Edit{Kustomize: "app", Image: "reg/a:1.1.0", From: "reg/a:0.9.0"}, nil, "a/kustomization.yaml: the image is reg/a:1.0.0 and not reg/a:0.9.0 any more"},
		"the first of a file":   {edit.Edit{Kustomize: "web", Image: "web:3.0.0", File: "flux.yaml", Nth: 1}, []string{"flux.yaml:   - {name: web, newTag: 3.0.0}"}, ""},
		"the third of a file":   {edit.Edit{Kustomize: "web", Image: "web:3.0.0", File: "flux.yaml", Nth: 3, From: "web:1.1.0"}, []string{"flux.yaml:   - {name: web, newTag: 3.0.0}"}, ""},
		"one that is not there": {edit.Edit{Kustomize: "web", Image: "web:3.0.0", File: "flux.yaml", Nth: 4}, nil, "image web of flux.yaml: not found"},
		"a file of a workload":  {edit.Edit{Workload: "deployment/web", Container: "c", Image: "web:3.0.0", File: "flux.yaml"}, nil, "a file, or a number, belongs to the entry of a kustomization"},
	} {
		t.Run(name, func(t *testing.T) {
			changes, errs := tr.Apply(t.Context(), []edit.Edit{tt.edit})
			var got []string
			for _, c := range changes {
				before := strings.Split(string(c.Old), "\n")
				for i, line := range strings.Split(string(c.New), "\n") {
					if line != before[i] {
						got = append(got, c.Path+": "+line)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{tt.err}, messages(errs)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if k := tr.Found().Kustomize; k[len(k)-2].Nth == 1 || fmt.Sprint(k[0].Nth) != "1" {
		t.Errorf("%+v", k)
	}
}

// TestEntryMovedOn: the second of two edits that were decided on the same entry
// fails when the first has been made.
func TestEntryMovedOn(t *testing.T) {
	in := "images:\n" + entry("app", "", "1.0.0")
	got, errs := edit.Apply([]byte(in), edit.Options{}, []edit.Edit{
		{Kustomize: "app", Image: "app:1.1.0", From: "app:1.0.0"}, {Kustomize: "app", Image: "app:1.2.0", From: "app:1.0.0"},
	})
	changed, ok := errors.AsType[*edit.ChangedError](errs[1])
	if errs[0] != nil || !ok || changed.Have != "app:1.1.0" || string(got) != strings.Replace(in, "1.0.0", "1.1.0", 1) {
		t.Errorf("%v\n%s", errs, got)
	}
}

// TestMarkersAtImages: containers and entries know the markers at their fields.
func TestMarkersAtImages(t *testing.T) {
	f := edit.Scan([]byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: main
          image: web:1.0.0 # {"$sluice": "web"}
        - name: side
          image: side:1.0.0
---
apiVersion: kustomize.config.k8s.io/v1beta1
images:
  - name: web
    newTag: 1.0.0 # {"$imagepolicy": "flux-system:web:tag"}
`), edit.Options{})
	c := f.Workloads[0].Containers
	if len(c[0].Markers) != 1 || c[0].Markers[0].Policy != "web" || c[0].Markers[0].Line != 9 || len(c[1].Markers) != 0 {
		t.Errorf("%+v", c)
	}
	if k := f.Kustomize[0]; len(k.Markers) != 1 || k.Markers[0].Policy != "flux-system:web" {
		t.Errorf("%+v", k)
	}
}
