package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// objectsBlock applies what is in mem://objects, and runs its HelmReleases.
const objectsBlock = `source "memory" "objects" { url = "mem://objects" }
sync "objects" { source = source.memory.objects }
helm "helm" "default" {}
`

// plan is what a configuration would change, by an engine that is stopped again.
func (w *world) plan(hcl string, names ...string) []PlanResult {
	w.t.Helper()
	w.configure(hcl)
	e := w.engine()
	e.Load(w.t.Context())
	results, err := e.Plan(w.t.Context(), names, nil)
	w.stop(e)
	if err != nil {
		w.t.Fatal(err)
	}
	return results
}

// planned is the result of a node.
func planned(t *testing.T, results []PlanResult, id string) PlanResult {
	t.Helper()
	i := slices.IndexFunc(results, func(r PlanResult) bool { return r.Node == id })
	if i < 0 {
		t.Fatalf("no plan of %s: %+v", id, results)
	}
	return results[i]
}

// hr is a document that declares a release of a chart in a git repository, with
// more of its spec. It has six lines without that.
func hr(name, spec string) string {
	return fmt.Sprintf(`apiVersion: helm.fluxcd.io/v1
kind: HelmRelease
metadata: {name: %s, namespace: demo}
spec:
  chart: {git: "https://git.example.com/charts", path: charts/ghost, ref: main}
%s---
`, name, spec)
}

// TestPlanOfAResourceNamesItsPlace: what is wrong with a HelmRelease is told with
// the place in the repository.
func TestPlanOfAResourceNamesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("mem://objects").commit("apps/web=" + strings.Join([]string{
			hr("fine", ""),
			hr("soon", "  timeout: soon\n"),
			hr("odd", "  helmvrsion: v3\n"),
			hr("lacking", "  valuesFrom:\n  - configMapKeyRef: {name: nothing}\n"),
		}, ""))
		results := w.plan(objectsBlock)
		for name, want := range map[string]struct {
			line    int
			problem string // place and text; empty: none
		}{
			"fine":    {1, ""},
			"soon":    {7, "apps/web.yaml:12:3: spec.timeout: this is a text"},
			"odd":     {14, "apps/web.yaml:19:3: spec.helmvrsion: there is no such field"},
			"lacking": {21, "apps/web.yaml:27:5: key values.yaml of ConfigMap demo/nothing: no such configuration"},
		} {
			r := planned(t, results, "helmrelease.default/demo/"+name)
			if r.File != "apps/web.yaml" || r.Line != want.line {
				t.Errorf("%s stands at %s:%d, want line %d", name, r.File, r.Line, want.line)
			}
			var got []string
			for _, p := range r.Problems {
				got = append(got, p.String())
			}
			if text := strings.Join(got, "\n"); len(got) > 1 || !strings.HasPrefix(text, want.problem) || want.problem == "" && text != "" {
				t.Errorf("%s has the problems %q, want %s", name, text, want.problem)
			}
		}
	})
}

// TestPlanReadsWhatItAppliesItself: a release whose values come from a ConfigMap
// or a Secret of the same plan is planned with what that will hold.
func TestPlanReadsWhatItAppliesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.resources.configs[applier.ConfigRef{Namespace: "demo", Name: "old", Key: "values.yaml"}] = "text: old"
		from := "  valuesFrom:\n  - configMapKeyRef: {name: settings}\n"
		w.repo("mem://objects").commit("apps/web=" + hr("web", from) + hr("wrong", strings.Replace(from, "settings", "settings, key: other", 1)))
		w.repo("mem://settings").commit("settings=kind: ConfigMap\napiVersion: v1\nmetadata: {name: settings, namespace: demo}\ndata: {values.yaml: \"text: planned\"}\n")
		hcl := objectsBlock + chartSourceBlock + `
source "memory" "settings" { url = "mem://settings" }
sync "settings" { source = source.memory.settings }
` + releaseBlock("after", "one", "depends_on = [sync.settings]\nvalues_from { config_map = \"settings\" }") +
			releaseBlock("beside", "one", "values_from { config_map = \"settings\" }") +
			releaseBlock("old", "one", "depends_on = [sync.settings]\nvalues_from { config_map = \"old\" }")
		results := w.plan(hcl)
		for id, want := range map[string]string{
			"helmrelease.default/demo/web":   "",
			"helmrelease.default/demo/wrong": "is about to be created, without a key \"other\"",
			"release.after":                  "",
			"release.beside":                 "no such configuration",
			"release.old":                    "",
		} {
			r := planned(t, results, id)
			if want == "" && (r.Error != "" || r.Release == nil || r.Release.Action != release.ActInstall) || !strings.Contains(r.Error, want) {
				t.Errorf("%s: %+v, want the error %q", id, r, want)
			}
		}
		if r := planned(t, w.plan(hcl, "after"), "release.after"); !strings.Contains(r.Error, "no such configuration") {
			t.Errorf("a plan of the release alone knows what is not there: %+v", r)
		}
	})
}

// TestPlanTellsWhatBecomesOfResources: what a daemon would make of HelmReleases
// that were renamed or deleted, by a process that remembers nothing.
func TestPlanTellsWhatBecomesOfResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.cluster.manifest = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: web}\n---\nkind: PersistentVolumeClaim\napiVersion: v1\nmetadata: {name: data, annotations: {helm.sh/resource-policy: keep}}\n"
		resources := map[string]string{"moved": "", "gone": "", "kept": "", "renamed": "  releaseName: shared\n", "still": ""}
		var all string
		for _, name := range []string{"gone", "kept", "moved", "renamed", "still"} {
			all += hr(name, resources[name])
			spec := webSpec("one")
			if name == "renamed" {
				spec["releaseName"] = "shared"
			}
			var annotations []string
			if name == "kept" {
				annotations = []string{"sluice.dev/on-remove=keep"}
			}
			w.resources.apply(name, spec, annotations...)
		}
		w.repo("mem://objects").commit("apps/all=" + all)
		w.configure(objectsBlock)
		e := w.engine()
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name := range resources {
			expect(t, e, "helmrelease.default/demo/"+name, Ready, "")
		}
		w.stop(e)
		w.dir = t.TempDir()
		w.cluster.takeCalls()

		w.repo("mem://objects").commit("apps/all=" + hr("moved", "  releaseName: other\n") + hr("heir", "  releaseName: shared\n") + hr("still", ""))
		results := w.plan(objectsBlock)
		for name, want := range map[string]struct {
			action release.Action
			reason string
			delete string
		}{
			"moved":   {release.ActRefuse, "was demo/demo-moved before and is demo/other now: set the annotation sluice.dev/on-move: reinstall", ""},
			"gone":    {release.ActUninstall, "HelmRelease demo/gone is deleted, so release demo/demo-gone is uninstalled.", "ConfigMap demo/web"},
			"kept":    {release.ActNone, "HelmRelease demo/kept is deleted: it stays installed", ""},
			"renamed": {release.ActNone, "goes on as helmrelease.default/demo/heir", ""},
			"heir":    {release.ActAdopt, "", ""},
			"still":   {release.ActUpgrade, "", ""},
		} {
			r := planned(t, results, "helmrelease.default/demo/"+name)
			if r.Error != "" || r.Release.Action != want.action || !strings.Contains(r.Release.Reason, want.reason) {
				t.Errorf("%s: %s, %+v", name, r.Error, r.Release)
				continue
			}
			got := ""
			for _, c := range r.Release.Changes {
				if c.Action == "delete" {
					got += c.Kind + " " + c.Namespace + "/" + c.Name
				}
			}
			if got != want.delete {
				t.Errorf("%s deletes %q, want %q", name, got, want.delete)
			}
		}
		w.wantCalls("")
	})
}
