package render_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/render"
)

// estate is a base that the overlays of two environments share, and a component.
func estate() map[string]string {
	return map[string]string{
		"base/kustomization.yaml":            "resources: [web.yaml, db.yaml, cron.yaml]\nimages:\n- name: db\n  newName: ghcr.io/org/db\n  newTag: v17\n",
		"base/web.yaml":                      deployment("web", "ghcr.io/org/web:v1") + "---\n" + deployment("worker", "ghcr.io/org/worker:v1"),
		"base/db.yaml":                       deployment("db", "db"),
		"base/cron.yaml":                     deployment("cron", "cron:v1") + "---\n" + deployment("clean", "cron:v1"),
		"parts/probe/kustomization.yaml":     "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [probe.yaml]\nimages: [{name: probe, newTag: v1}]\n",
		"parts/probe/probe.yaml":             deployment("probe", "probe"),
		"overlays/prod/kustomization.yaml":   "namePrefix: prod-\nresources:\n  - ../../base\n  - own.yaml\n  # - debug.yaml\ncomponents: [../../parts/probe]\n",
		"overlays/prod/own.yaml":             deployment("own", "own:v1"),
		"overlays/staging/kustomization.yml": "namePrefix: staging-\r\nresources: [../../base]\r\nimages:\r\n- {name: cron, newTag: v2} # ahead",
	}
}

// An update of one environment leaves the others alone: what only a shared base
// says gets an entry in the overlay.
func TestSharedBaseStaysAsItIs(t *testing.T) {
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	r := realRenderer(t, "kustomize", "kustomize", `{}`)
	prod, staging, both := []string{"overlays/prod"}, []string{"overlays/staging/kustomization.yml"}, []string{"overlays/prod", "overlays/staging"}
	annotation := func(w string) edit.Edit {
		return edit.Edit{Workload: w, Set: map[string]string{"sluice.dev/locked": "true"}}
	}
	for name, c := range map[string]struct {
		paths []string
		more  map[string]string // files beside those of the estate
		edits []edit.Edit
		want  map[string]string // file -> what is added at its end, or is its content
		errs  []string
	}{
		"no entry": {prod, nil, []edit.Edit{image("deployment/prod-web", "ghcr.io/org/web:v2")},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/web\n    newTag: v2\n"}, []string{""}},
		"an entry of the base": {prod, nil, []edit.Edit{image("deployment/prod-db", "ghcr.io/org/db:v18")},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/db\n    newTag: v18\n"}, []string{""}},
		"an entry of a component": {prod, nil, []edit.Edit{image("deployment/prod-probe", "probe:1.10@"+digest)},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: probe\n    newTag: \"1.10\"\n    digest: " + digest + "\n"}, []string{""}},
		"another name": {prod, nil, []edit.Edit{image("deployment/prod-web", "mirror.example/web:v2")},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/web\n    newName: mirror.example/web\n    newTag: v2\n"}, []string{""}},
		"own file": {prod, nil, []edit.Edit{image("deployment/prod-own", "own:v2"), annotation("deployment/prod-own")},
			map[string]string{"overlays/prod/own.yaml": strings.Replace(deployment("own", "own:v2"), "# as it was\n", "# as it was\n  annotations:\n    sluice.dev/locked: \"true\"\n", 1)}, []string{"", ""}},
		"beside each other": {prod, nil, []edit.Edit{image("deployment/prod-web", "ghcr.io/org/web:v2"), image("deployment/prod-own", "own:v2"), image("deployment/prod-worker", "ghcr.io/org/worker:v2")},
			map[string]string{"overlays/prod/own.yaml": deployment("own", "own:v2"),
				"overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/web\n    newTag: v2\n  - name: ghcr.io/org/worker\n    newTag: v2\n"}, []string{"", "", ""}},
		"two that run it": {prod, nil, []edit.Edit{image("deployment/prod-cron", "cron:v3"), image("deployment/prod-clean", "cron:v3")},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: cron\n    newTag: v3\n"}, []string{"", ""}},
		"one of two that run it": {prod, nil, []edit.Edit{image("deployment/prod-cron", "cron:v3"), image("deployment/prod-web", "ghcr.io/org/web:v2")},
			map[string]string{"overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/web\n    newTag: v2\n"}, []string{"prod-clean would have another spec.template.spec.containers.0.image", ""}},
		"CRLF and no end": {staging, nil, []edit.Edit{image("deployment/staging-web", "ghcr.io/org/web:v2"), image("deployment/staging-db", "ghcr.io/org/db:v18")},
			map[string]string{"overlays/staging/kustomization.yml": "+\r\n- {name: ghcr.io/org/web, newTag: v2}\r\n- {name: ghcr.io/org/db, newTag: v18}"}, []string{"", ""}},
		"two paths": {both, nil, []edit.Edit{image("deployment/staging-web", "ghcr.io/org/web:v2"), image("deployment/prod-web", "ghcr.io/org/web:v3")},
			map[string]string{"overlays/staging/kustomization.yml": "+\r\n- {name: ghcr.io/org/web, newTag: v2}", "overlays/prod/kustomization.yaml": "+images:\n  - name: ghcr.io/org/web\n    newTag: v3\n"}, []string{"", ""}},
		"no extension": {[]string{"overlays/test"}, map[string]string{"overlays/test/Kustomization": "resources: [../../base]\nimages:\n- name: cron\n  newTag: v2\n"},
			[]edit.Edit{image("deployment/web", "ghcr.io/org/web:v2"), image("deployment/cron", "cron:v3"), image("deployment/clean", "cron:v3")},
			map[string]string{"overlays/test/Kustomization": "resources: [../../base]\nimages:\n- name: cron\n  newTag: v3\n- name: ghcr.io/org/web\n  newTag: v2\n"}, []string{"", "", ""}},
		"inline patch": {[]string{"overlays/test"}, map[string]string{"overlays/test/kustomization.yaml": "resources: [../../base]\npatches:\n- target: {name: web}\n  patch: |-\n    - op: replace\n      path: /spec/template/spec/containers/0/image\n      value: ghcr.io/org/web:v5\n"},
			[]edit.Edit{image("deployment/web", "ghcr.io/org/web:v6")}, map[string]string{"overlays/test/kustomization.yaml": "+images:\n- name: ghcr.io/org/web\n  newTag: v6\n"}, []string{""}},
		"one of two, by its patch": {[]string{"overlays/test"}, map[string]string{"overlays/test/kustomization.yaml": "resources: [../../base]\npatches: [{path: cron.yaml}]\n", "overlays/test/cron.yaml": deployment("cron", "cron:v1")},
			[]edit.Edit{image("deployment/cron", "cron:v3")}, map[string]string{"overlays/test/cron.yaml": deployment("cron", "cron:v3")}, []string{""}},
		"annotation taken away": {prod, map[string]string{"base/web.yaml": strings.Replace(deployment("web", "web:v1"), "metadata:", "metadata:\n  annotations: {a: b}", 1)},
			[]edit.Edit{{Workload: "deployment/prod-web", Remove: []string{"a"}}}, nil, []string{"all that use it: change it there by hand"}},
		"annotation": {prod, nil, []edit.Edit{annotation("deployment/prod-web")}, nil, []string{"it stands in base/web.yaml, which is not below the paths of this sync, and would change for all that use it: say the annotation in a patch"}},
		"annotation and a patch": {[]string{"overlays/test"}, map[string]string{"overlays/test/kustomization.yaml": "resources: [../../base]\npatches: [{path: web.yaml}]\n", "overlays/test/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2\n"},
			[]edit.Edit{annotation("deployment/web")}, map[string]string{"overlays/test/web.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations:\n    sluice.dev/locked: \"true\"\nspec:\n  replicas: 2\n"}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := estate()
			maps.Copy(tree, c.more)
			root := files(t, tree)
			changes, errs := render.Apply(t.Context(), r, root, c.paths, edit.Options{}, filepath.Join(t.TempDir(), "work"), c.edits)
			got, want := map[string]string{}, map[string]string{}
			for _, ch := range changes {
				got[ch.Path] = string(ch.New)
			}
			for file, text := range c.want {
				if added, ok := strings.CutPrefix(text, "+"); ok {
					text = tree[file] + added
				}
				want[file] = text
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			for i, err := range errs {
				if want := c.errs[i]; (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("edit %d: %v, want %q", i, err, want)
				}
			}
		})
	}
}

// A link in the overlay is no file of its own.
func TestLinkToSharedBase(t *testing.T) {
	r := realRenderer(t, "kustomize", "kustomize", `{}`)
	root := files(t, map[string]string{
		"base/web.yaml": deployment("web", "web:v1"), "prod/kustomization.yaml": "resources: [web.yaml]\n", "test/kustomization.yaml": "resources: [web.yaml]\n",
	})
	for _, env := range []string{"prod", "test"} {
		if err := os.Symlink("../base/web.yaml", filepath.Join(root, env, "web.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	changes, errs := render.Apply(t.Context(), r, root, []string{"prod"}, edit.Options{}, filepath.Join(t.TempDir(), "work"), []edit.Edit{image("deployment/web", "web:v2")})
	if err := errors.Join(errs...); err != nil || len(changes) != 1 || changes[0].Path != "prod/kustomization.yaml" || fmt.Sprint(changes[0].Edits) != "[0]" ||
		string(changes[0].New) != "resources: [web.yaml]\nimages:\n- name: web\n  newTag: v2\n" {
		t.Errorf("%+v, %v", changes, errs)
	}
}
