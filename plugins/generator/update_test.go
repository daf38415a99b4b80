package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func update(t *testing.T, dir string, paths []string, changes ...renderer.Change) renderer.UpdateResult {
	t.Helper()
	res, err := newGenerator(t, `{}`).Update(t.Context(), renderer.UpdateRequest{
		Request: renderer.Request{Dir: dir, Paths: paths, Out: t.TempDir(), Namespace: "default"}, Changes: changes,
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func deployment(namespace, name string) applier.Ref {
	return applier.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: namespace, Name: name}
}

func value(s string) *string { return &s }

func TestUpdaters(t *testing.T) {
	web := deployment("shop", "web-a")
	res := update(t, "testdata/shop", []string{"apps/a"},
		renderer.Change{Workload: web, Container: "web", Image: "registry:5000/web:2.0.0@sha256:00"},
		renderer.Change{Workload: web, Annotation: "fluxcd.io/automated", Value: value("true")},
		renderer.Change{Workload: web, Annotation: "sluice.dev/locked"}, // its updater fails
		renderer.Change{Workload: web, Container: "web", Image: "web"},
		renderer.Change{Workload: deployment("shop", "other"), Container: "web", Image: "web:2"},
	)
	old, err := os.ReadFile("testdata/shop/apps/a/web.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	now := strings.Replace(string(old), "example.com/web:1.0.0", "registry:5000/web:2.0.0@sha256:00", 1) +
		"# shop:deployment/web-a shop deployment web-a automated=true\n"
	if diff := cmp.Diff([]source.Edit{{Path: "apps/a/web.tmpl", Old: old, New: []byte(now)}}, res.Edits); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
	for i, want := range []string{"", "", "exit status 3", "has no tag", "is not generated from apps/a"} {
		if got := res.Errors[i]; want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("change %d: error %q, want %q", i, got, want)
		}
	}
}

// What a failed updater has done is taken back, also files of other changes.
func TestFailedUpdatersLeaveNothing(t *testing.T) {
	dir := tree(t, map[string]string{
		"x.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: ns}\n", "gone": "", "kept": "old", "link@": "kept",
		".flux.yaml": "version: 1\ncommandUpdated:\n  generators: [{command: \"cat x.yaml; echo junk > kept; echo junk > junk\"}]\n  updaters:\n" +
			"    - containerImage: {command: 'rm gone link; echo new > kept; mkdir -p d; echo $FLUX_TAG > d/new'}\n" +
			"    - containerImage: {command: 'test $FLUX_TAG != bad'}\n",
	})
	x := deployment("ns", "x")
	image := func(tag string) renderer.Change {
		return renderer.Change{Workload: x, Container: "x", Image: "x:" + tag}
	}
	if res := update(t, dir, []string{"."}, image("bad")); len(res.Edits) != 0 || res.Errors[0] == "" {
		t.Errorf("edits %+v, errors %q", res.Edits, res.Errors)
	}
	dir = tree(t, map[string]string{
		"x.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: ns}\n", "gone": "g", "kept": "old",
		".flux.yaml": "version: 1\ncommandUpdated:\n  generators: [{command: cat x.yaml}]\n  updaters:\n" +
			"    - containerImage: {command: 'rm -f gone; echo new > kept; mkdir -p d; echo $FLUX_TAG > d/new'}\n" +
			"    - containerImage: {command: 'test $FLUX_TAG != bad'}\n",
	})
	res := update(t, dir, []string{"."}, image("bad"), image("1"), image("bad"))
	want := []source.Edit{{Path: "d/new", New: []byte("1\n")}, {Path: "gone", Old: []byte("g")}, {Path: "kept", Old: []byte("old"), New: []byte("new\n")}}
	if diff := cmp.Diff(want, res.Edits); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
}

func TestNoUpdaters(t *testing.T) {
	dir := tree(t, map[string]string{".flux.yaml": fluxYAML("cat x.yaml"), "x.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"})
	res := update(t, dir, []string{"."}, renderer.Change{Workload: deployment("default", "x"), Container: "x", Image: "x:1"})
	if len(res.Edits) != 0 || !strings.Contains(res.Errors[0], ".flux.yaml has no updaters with containerImage") {
		t.Errorf("edits %+v, errors %q", res.Edits, res.Errors)
	}
}

func TestPatches(t *testing.T) {
	api := deployment("default", "api")
	widget := applier.Ref{Group: "example.com", Version: "v1", Kind: "Widget", Namespace: "default", Name: "w"}
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.CopyFS(dir, os.DirFS("testdata/shop")); err != nil {
		t.Fatal(err)
	}
	apply := func(changes ...renderer.Change) (string, []string) {
		t.Helper()
		res := update(t, dir, []string{"apps/patched"}, changes...)
		if len(res.Edits) == 0 {
			return "", res.Errors
		}
		if len(res.Edits) != 1 || res.Edits[0].Path != "apps/patched/flux-patch.yaml" {
			t.Fatalf("edits %+v", res.Edits)
		}
		if err := os.WriteFile(filepath.Join(dir, "apps/patched/flux-patch.yaml"), res.Edits[0].New, 0o600); err != nil {
			t.Fatal(err)
		}
		return string(res.Edits[0].New), res.Errors
	}
	before, err := os.ReadFile("testdata/shop/apps/patched/flux-patch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, errs := apply(
		renderer.Change{Workload: api, Container: "api", Image: "example.com/api:2.0.0"},
		renderer.Change{Workload: api, Container: "setup", Image: "busybox:2"},
		renderer.Change{Workload: api, Annotation: "sluice.dev/automated", Value: value("true")},
		renderer.Change{Workload: api, Container: "nobody", Image: "x:1"},
	)
	want := string(before) + `---
apiVersion: apps/v1
kind: Deployment
metadata:
  annotations:
    sluice.dev/automated: "true"
  name: api
spec:
  template:
    spec:
      $setElementOrder/containers:
      - name: api
      - name: proxy
      $setElementOrder/initContainers:
      - name: setup
      containers:
      - image: example.com/api:2.0.0
        name: api
      initContainers:
      - image: busybox:2
        name: setup
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
	if errs[0]+errs[1]+errs[2] != "" || !strings.Contains(errs[3], `no container "nobody"; it has api, proxy, setup`) {
		t.Errorf("errors %q", errs)
	}
	files, _, err := render(t.Context(), t, newGenerator(t, `{}`), dir, "apps/patched")
	if err != nil || !strings.Contains(files["000001.json"], "example.com/api:2.0.0") || !strings.Contains(files["000001.json"], "example.com/proxy:1.0.0") {
		t.Errorf("%v, rendered %v", err, files)
	}
	if got, errs = apply(
		renderer.Change{Workload: widget, Annotation: "a"},
		renderer.Change{Workload: api, Container: "api", Image: "example.com/api:2.0.0"}, // as it is
	); !strings.Contains(got, "annotations: null") && !strings.Contains(got, "a: null") || errs[0] != "" || errs[1] != "" {
		t.Errorf("errors %q, patches\n%s", errs, got)
	}
	if !strings.Contains(got, "name: gone") {
		t.Errorf("the patch of what is not generated now was dropped:\n%s", got)
	}
	got, _ = apply(
		renderer.Change{Workload: api, Container: "api", Image: "example.com/api:1.0.0"},
		renderer.Change{Workload: api, Container: "setup", Image: "busybox:1"},
		renderer.Change{Workload: api, Annotation: "sluice.dev/automated"},
	)
	if strings.Contains(got, "name: api") {
		t.Errorf("there is still a patch of what is as generated:\n%s", got)
	}
}

// A first change makes the file.
func TestFirstPatch(t *testing.T) {
	dir := tree(t, map[string]string{
		".flux.yaml": "version: 1\npatchUpdated:\n  generators: [{command: cat gen}]\n  patchFile: p.yaml\n",
		"gen":        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{name: x, image: 'x:1'}]}}}\n",
	})
	res := update(t, dir, []string{"."}, renderer.Change{Workload: deployment("default", "x"), Container: "x", Image: "x:2"})
	if len(res.Edits) != 1 || res.Edits[0].Old != nil || !strings.Contains(string(res.Edits[0].New), "image: x:2") {
		t.Errorf("edits %+v, errors %q", res.Edits, res.Errors)
	}
}
