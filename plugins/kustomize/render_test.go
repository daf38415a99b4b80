package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

func discard() hclog.Logger { return hclog.NewNullLogger() }

// What is rendered is what kustomize itself builds from the disk, byte by byte.
func TestRendersAsKustomizeDoes(t *testing.T) {
	for name, c := range map[string]struct{ tree, path string }{
		"overlay":           {"testdata/shop", "overlays/prod"},
		"wants its origins": {"testdata/shop", "overlays/staging"},
		"base":              {"testdata/shop", "base"},
		"podinfo":           {"../../../shared/data/podinfo", "kustomize"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(c.tree); err != nil {
				t.Skip(err)
			}
			got, _, err := render(t.Context(), t, c.tree, c.path)
			if err != nil {
				t.Fatal(err)
			}
			built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(c.tree, c.path))
			if err != nil {
				t.Fatal(err)
			}
			want, err := built.AsYaml()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// hash is what kustomize appends to the names of what it generates.
var hash = regexp.MustCompile(`(-[a-z0-9]{10})?\.yaml$`)

func TestTellsWhereObjectsComeFrom(t *testing.T) {
	_, res, err := render(t.Context(), t, "testdata/shop", "overlays/prod", "plain/../base")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]renderer.Origin{}
	for name, o := range res.Origins {
		got[hash.ReplaceAllString(name[len("000001-"):], "")] = o
	}
	web, db, settings := "base/web.yaml", "base/db.yaml", "overlays/prod/kustomization.yaml"
	want := map[string]renderer.Origin{
		"deployment-prod-web": {File: web, Line: 2}, "service-prod-web": {File: web, Line: 17}, "statefulset-prod-db": {File: db, Line: 1},
		"deployment-web": {File: web, Line: 2}, "service-web": {File: web, Line: 17}, "statefulset-db": {File: db, Line: 1},
		"configmap-prod-settings": {File: settings, Line: 18}, "configmap-prod-flags": {File: settings, Line: 20},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, file := range []string{"base/db.yaml", "base/kustomization.yaml", "base/web.yaml", "components/metrics/kustomization.yaml", "overlays/prod/db-storage.yaml", "overlays/prod/kustomization.yaml", "overlays/prod/shop.properties"} {
		if !slices.Contains(res.Files, file) {
			t.Errorf("%s was read, and is not among %q", file, res.Files)
		}
	}
	if slices.Contains(res.Files, "overlays/staging/kustomization.yaml") {
		t.Errorf("the other overlay is among %q", res.Files)
	}
}

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func TestRefuses(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret.yaml"), []byte(configMap), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files map[string]string
		path  string
		want  []string // in the error
	}{
		"no kustomization":   {map[string]string{"a/x.yaml": configMap}, "a", []string{"a: there is no kustomization here", "Add a kustomization.yaml"}},
		"no path":            {map[string]string{"a/x.yaml": configMap}, "b", []string{"b: there is no such path"}},
		"path out":           {map[string]string{"a/x.yaml": configMap}, "../b", []string{"../b: the path leads out of the tree"}},
		"url":                {map[string]string{"a/kustomization.yaml": "resources: [https://example.com/x.yaml]"}, "a", []string{`a/kustomization.yaml: resources: "https://example.com/x.yaml" is not in the source`, "Nothing is fetched while rendering"}},
		"github":             {map[string]string{"a/kustomization.yaml": "resources: ['github.com/org/repo/base?ref=v1']"}, "a", []string{"a/kustomization.yaml: resources", "is not in the source"}},
		"ssh":                {map[string]string{"a/kustomization.yaml": "resources: ['git@example.com:org/repo']"}, "a", []string{"a/kustomization.yaml: resources", "is not in the source"}},
		"remote component":   {map[string]string{"a/kustomization.yaml": "components: ['git::ssh://git@example.com/org/repo']"}, "a", []string{"a/kustomization.yaml: components", "is not in the source"}},
		"url of a base":      {map[string]string{"a/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: ['HTTPS://example.com/x.yaml']"}, "a", []string{"b/kustomization.yaml: resources"}},
		"url of a file":      {map[string]string{"a/kustomization.yaml": "configMapGenerator: [{name: x, files: ['x=https://192.0.2.1/x']}]"}, "a", []string{"a/kustomization.yaml: ", "copy it into the repository"}},
		"url of a plugin":    {map[string]string{"a/kustomization.yaml": "generators: [g.yaml]", "a/g.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nfiles: ['x=https://192.0.2.1/x']\n"}, "a", []string{"a/kustomization.yaml: ", "copy it into the repository"}},
		"out by dots":        {map[string]string{"a/kustomization.yaml": "resources: [../../secret.yaml]"}, "a", []string{"a/kustomization.yaml: /secret.yaml leads out of the tree"}},
		"out by many dots":   {map[string]string{"a/kustomization.yaml": "resources: [../../../../../../../../etc/hosts]"}, "a", []string{"a/kustomization.yaml: /etc/hosts leads out of the tree"}},
		"absolute":           {map[string]string{"a/kustomization.yaml": "resources: [/etc/hosts]"}, "a", []string{"a/kustomization.yaml: /etc/hosts leads out of the tree"}},
		"link out":           {map[string]string{"a/kustomization.yaml": "resources: [x.yaml]", "a/x.yaml@": filepath.Join(outside, "secret.yaml")}, "a", []string{"a/kustomization.yaml: a/x.yaml is a link that leads out of the tree"}},
		"link to directory":  {map[string]string{"a/kustomization.yaml": "resources: [x]", "a/x@": outside}, "a", []string{"a/kustomization.yaml: a/x is a link that leads out of the tree"}},
		"file out":           {map[string]string{"a/kustomization.yaml": "secretGenerator: [{name: x, files: [../../../etc/passwd]}]"}, "a", []string{"leads out of the tree"}},
		"helm":               {map[string]string{"a/kustomization.yaml": "helmCharts: [{name: x, repo: 'https://example.com'}]"}, "a", []string{"a/kustomization.yaml: helmCharts needs helm"}},
		"program":            {map[string]string{"a/kustomization.yaml": "generators: [g.yaml]", "a/g.yaml": "apiVersion: x/v1\nkind: G\nmetadata: {name: g, annotations: {config.kubernetes.io/function: 'exec: {path: ./run.sh}'}}\n", "a/run.sh": "#!/bin/sh\necho no\n"}, "a", []string{"a/kustomization.yaml: "}},
		"unknown field":      {map[string]string{"a/kustomization.yml": "resourcs: []"}, "a", []string{`a/kustomization.yml: invalid Kustomization: json: unknown field "resourcs"`}},
		"no YAML":            {map[string]string{"a/Kustomization": "resources: ["}, "a", []string{"a/Kustomization: "}},
		"two kustomizations": {map[string]string{"a/kustomization.yml": "resources: []", "a/kustomization.yaml": "resources: []"}, "a", []string{"a/kustomization.yaml: Found multiple kustomization files under: a"}},
		"missing resource":   {map[string]string{"a/kustomization.yaml": "resources: [x.yaml]"}, "a", []string{"a/kustomization.yaml: ", "a/x.yaml", "no such file"}},
		"cycle":              {map[string]string{"a/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: [../a]"}, "a", []string{"a/kustomization.yaml: ", "cycle"}},
		"directory as file":  {map[string]string{"a/kustomization.yaml": "patches: [{path: ../b}]\nresources: [x.yaml]", "a/x.yaml": configMap, "b/x": ""}, "a", []string{"b", "is not a file"}},
		"nothing in it":      {map[string]string{"a/kustomization.yaml": ""}, "a", []string{"a/kustomization.yaml: kustomization.yaml is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, c.files)
			_, _, err := render(t.Context(), t, dir, c.path)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), virtualRoot) {
				t.Errorf("the error names a place that nobody knows: %v", err)
			}
			if l, ok := diag.From(err); !ok || l[0].Subject == nil || l[0].Subject.File == "" {
				t.Errorf("the error names no file: %v", err)
			}
		})
	}
}

func TestFollowsLinksWithinTheTree(t *testing.T) {
	dir := tree(t, map[string]string{
		"a/kustomization.yaml": "resources: [x.yaml, base]", "a/x.yaml@": "../shared/x.yaml", "a/base@": "../b",
		"shared/x.yaml": configMap, "b/kustomization.yaml": "resources: [y.yaml]", "b/y.yaml": strings.Replace(configMap, "name: a", "name: b", 1),
	})
	got, res, err := render(t.Context(), t, dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(got, "name: a\n") || !strings.Contains(got, "name: b\n") {
		t.Errorf("rendered\n%s", got)
	}
	for _, file := range []string{"a/x.yaml", "shared/x.yaml", "b/y.yaml"} {
		if !slices.Contains(res.Files, file) {
			t.Errorf("%s is not among %q", file, res.Files)
		}
	}
}

// Overlays may share files beyond their own directories.
func TestUsesFilesOfTheWholeTree(t *testing.T) {
	dir := tree(t, map[string]string{
		"apps/a/kustomization.yaml": "resources: [../../shared/x.yaml]\nconfigMapGenerator: [{name: f, files: [../../shared/f]}]",
		"shared/x.yaml":             configMap, "shared/f": "content",
	})
	if got, _, err := render(t.Context(), t, dir, "apps/a"); err != nil || !strings.Contains(got, "f: content") {
		t.Errorf("%v, rendered\n%s", err, got)
	}
}

func TestWarnsOfDeprecatedFields(t *testing.T) {
	dir := tree(t, map[string]string{"a/kustomization.yaml": "bases: [../b]\ncommonLabels: {x: z}", "b/kustomization.yaml": "resources: [x.yaml]", "b/x.yaml": configMap})
	_, res, err := render(t.Context(), t, dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Diagnostics) != 2 || res.Diagnostics[0].Severity != diag.Warning || res.Diagnostics[0].Subject.File != "a/kustomization.yaml" {
		t.Errorf("diagnostics %+v", res.Diagnostics)
	}
}

// Many paths, asked for by several syncs at once.
func TestManyPaths(t *testing.T) {
	files := map[string]string{"base/kustomization.yaml": "resources: [x.yaml]", "base/x.yaml": configMap}
	var paths []string
	for i := range 200 {
		p := fmt.Sprintf("apps/app%03d", i)
		files[p+"/kustomization.yaml"] = fmt.Sprintf("resources: [../../base]\nnamePrefix: app%03d-\n", i)
		paths = append(paths, p)
	}
	dir := tree(t, files)
	k := newKustomize(t)
	var wg sync.WaitGroup
	for range 3 {
		out := t.TempDir()
		wg.Go(func() {
			res, err := k.Render(t.Context(), renderer.Request{Dir: dir, Paths: paths, Out: out})
			if err != nil || len(res.Origins) != len(paths) {
				t.Errorf("%d objects, %v", len(res.Origins), err)
			}
		})
	}
	wg.Wait()
}

func TestStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("a new revision")
	cancel(why)
	if _, _, err := render(ctx, t, "testdata/shop", "base"); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	building <- struct{}{} // another build that takes its time
	defer func() { <-building }()
	ctx, cancel = context.WithCancelCause(t.Context())
	k := newKustomize(t)
	failed := make(chan error)
	out := t.TempDir()
	go func() {
		_, err := k.Render(ctx, renderer.Request{Dir: "testdata/shop", Paths: []string{"base"}, Out: out})
		failed <- err
	}()
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}
