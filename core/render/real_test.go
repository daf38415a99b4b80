package render_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// pluginDir is where a plugin of this repository is built, if it is not built
// already.
func pluginDir(t *testing.T, plugin string) string {
	t.Helper()
	if dir := os.Getenv("SLUICE_TEST_BIN"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "sluice-plugin-"+plugin), ".")
	build.Dir = filepath.Join("..", "..", "plugins", plugin)
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	return dir
}

// realRenderer opens a renderer in a process of its own.
func realRenderer(t *testing.T, plugin, typ, config string) renderer.Renderer {
	t.Helper()
	dir := pluginDir(t, plugin)
	run, err := os.MkdirTemp("", "r") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	h, err := pluginhost.New(pluginhost.Options{Dirs: []string{dir}, RunDir: run, DataDir: t.TempDir(), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Close(context.WithoutCancel(t.Context())), os.RemoveAll(run)); err != nil {
			t.Error(err)
		}
	})
	i, _, err := h.Open(t.Context(), "renderer", typ, "renderer."+typ+".test", json.RawMessage(config))
	if err != nil {
		t.Fatal(err)
	}
	return i.Renderer()
}

func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, text := range content {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func deployment(name, image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: " + name + " # as it was\nspec:\n  template:\n    spec:\n      containers:\n        - name: main\n          image: " + image + "\n"
}

// changed returns the lines that changes take out and put in.
func changed(changes []edit.FileChange) map[string][2][]string {
	diffs := map[string][2][]string{}
	for _, c := range changes {
		old, now := strings.Split(string(c.Old), "\n"), strings.Split(string(c.New), "\n")
		var d [2][]string
		for i := range max(len(old), len(now)) {
			switch {
			case i >= len(old):
				d[1] = append(d[1], now[i])
			case i >= len(now):
				d[0] = append(d[0], old[i])
			case old[i] != now[i]:
				d[0], d[1] = append(d[0], old[i]), append(d[1], now[i])
			}
		}
		diffs[c.Path] = d
	}
	return diffs
}

func image(workload, ref string) edit.Edit {
	return edit.Edit{Workload: workload, Container: "main", Image: ref}
}

func TestKustomize(t *testing.T) {
	r := realRenderer(t, "kustomize", "kustomize", `{}`)
	root := files(t, map[string]string{
		"base/kustomization.yaml": "resources: [web.yaml, db.yaml, cron.yaml]\n",
		"base/web.yaml":           "# web\n" + deployment("web", "web") + "---\n" + deployment("worker", "web"),
		"base/db.yaml":            deployment("db", "postgres:17"),
		"base/cron.yaml":          deployment("cron", "cron:1"),
		"overlays/prod/kustomization.yaml": "namespace: shop\nnamePrefix: prod-\nresources: [../../base]\nimages:\n  # the shop\n  - name: web\n    newName: example.com/web\n    newTag: 1.0.0\n" +
			"patches: [{path: cron.yaml}]\nconfigMapGenerator: [{name: c, literals: [a=b]}]\n",
		"overlays/prod/cron.yaml": deployment("cron", "cron:2"),
	})
	apply := func(edits ...edit.Edit) ([]edit.FileChange, []error) {
		return render.Apply(t.Context(), r, root, []string{"overlays/prod"}, edit.Options{}, filepath.Join(t.TempDir(), "work"), edits)
	}
	changes, errs := apply(
		image("shop:deployment/prod-web", "example.com/web:1.1.0"), image("shop:deployment/prod-worker", "example.com/web:1.1.0"),
		image("shop:deployment/prod-db", "postgres:18"), image("shop:deployment/prod-cron", "cron:3"),
		edit.Edit{Workload: "shop:deployment/prod-db", Set: map[string]string{"sluice.dev/locked": "true"}},
		image("shop:deployment/web", "example.com/web:2"),
	)
	if err := errors.Join(errs[:4]...); err != nil || errs[4] == nil || !errors.Is(errs[5], edit.ErrNotFound) {
		t.Errorf("errors %v", errs)
	}
	want := map[string][2][]string{
		"overlays/prod/cron.yaml": {{"          image: cron:2"}, {"          image: cron:3"}},
		"overlays/prod/kustomization.yaml": {
			{"    newTag: 1.0.0", "patches: [{path: cron.yaml}]", "configMapGenerator: [{name: c, literals: [a=b]}]", ""},
			{"    newTag: 1.1.0", "  - name: postgres", `    newTag: "18"`, "patches: [{path: cron.yaml}]", "configMapGenerator: [{name: c, literals: [a=b]}]", ""},
		},
	}
	if diff := cmp.Diff(want, changed(changes)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if changes, errs := apply(image("shop:deployment/prod-web", "example.com/web:1.1.0")); len(changes) != 0 || errs[0] == nil || !strings.Contains(errs[0].Error(), "prod-worker would have another spec.template.spec.containers.0.image") {
		t.Errorf("one of two that share an entry: %v, %v", changes, errs)
	}
}

// What was rendered loads with the places that it comes from; what fails to be
// rendered is an error that names its file, and no load at all.
func TestLoadsRendered(t *testing.T) {
	r := realRenderer(t, "kustomize", "kustomize", `{}`)
	root := files(t, map[string]string{
		"prod/kustomization.yaml": "resources: [web.yaml]\ncommonLabels: {a: b}\n", "prod/web.yaml": "# web\n" + deployment("web", "web:1"),
		"two/kustomization.yaml": "resources: [../prod/web.yaml]\n", "bad/kustomization.yaml": "resources: [none.yaml]\n",
	})
	rendered, err := render.Run(t.Context(), r, root, []string{"prod", "two"}, "", filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := rollout.LoadRendered(t.Context(), rendered, filepath.Join(t.TempDir(), "load"), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	items, err := os.ReadFile(l.Items)
	if err != nil || !strings.HasPrefix(string(items), `{"file":"prod/web.yaml","line":2,`) || l.Objects != 1 || l.Complete {
		t.Errorf("%d objects, complete %t, %v:\n%s", l.Objects, l.Complete, err, items)
	}
	var problems []string
	for _, p := range l.Problems {
		problems = append(problems, fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Summary, p.Detail))
	}
	if len(problems) != 2 || !strings.HasPrefix(problems[0], "prod/kustomization.yaml:0: 'commonLabels' is deprecated") ||
		!strings.HasPrefix(problems[1], "prod/web.yaml:2: Deployment.apps/web is declared twice: It is declared first at prod/web.yaml:2.") {
		t.Errorf("problems %q", problems)
	}
	_, err = render.Run(t.Context(), r, root, []string{"prod", "bad"}, "", filepath.Join(t.TempDir(), "out"))
	if err == nil || !strings.Contains(err.Error(), "bad/kustomization.yaml: ") {
		t.Errorf("error %v", err)
	}
}

func TestGenerators(t *testing.T) {
	r := realRenderer(t, "generator", "exec", `{}`)
	root := files(t, map[string]string{
		"cmd/.flux.yaml": "version: 1\ncommandUpdated:\n  generators:\n    - command: sed s/@/prod-/ web.in\n  updaters:\n" +
			"    - containerImage: {command: 'sed -i \"s#image:.*#image: $FLUX_IMG:$FLUX_TAG#\" web.in'}\n      policy: {command: 'echo junk >> web.in'}\n",
		"cmd/web.in":       deployment("@web", "web:1"),
		"patch/.flux.yaml": "version: 1\npatchUpdated:\n  generators:\n    - command: cat db.in\n  patchFile: patch.yaml\n",
		"patch/db.in":      deployment("db", "postgres:17"),
		"plain/cron.yaml":  deployment("cron", "cron:1"),
	})
	changes, errs := render.Apply(t.Context(), r, root, []string{"cmd", "patch", "plain"}, edit.Options{}, filepath.Join(t.TempDir(), "work"), []edit.Edit{
		image("deployment/prod-web", "web:2"), image("deployment/db", "postgres:18"), image("deployment/cron", "cron:2"),
		{Workload: "deployment/prod-web", Set: map[string]string{"sluice.dev/locked": "true"}}, // its updater writes junk
		{Workload: "deployment/db", Set: map[string]string{"sluice.dev/locked": "true"}},
	})
	got := map[string]string{}
	for _, c := range changes {
		got[c.Path] = string(c.New)
	}
	want := map[string]string{
		"cmd/web.in": deployment("@web", "web:2"), "plain/cron.yaml": deployment("cron", "cron:2"),
		"patch/patch.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n    sluice.dev/locked: \"true\"\n  name: db\nspec:\n  template:\n    spec:\n" +
			"      $setElementOrder/containers:\n      - name: main\n      containers:\n      - image: postgres:18\n        name: main\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	for i, err := range errs {
		if (i == 3) != (err != nil) {
			t.Errorf("edit %d: %v", i, err)
		}
	}
}
