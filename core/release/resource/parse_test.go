package resource_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// asJSON is what an API server makes of YAML.
func asJSON(t testing.TB, text string) json.RawMessage {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// object is a resource of the namespace demo called ghost.
func object(t testing.TB, apiVersion, kind, annotations, spec string) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": map[string]any{"name": "ghost", "namespace": "demo", "uid": "u1", "generation": 3, "annotations": asJSON(t, annotations)},
		"spec":     asJSON(t, spec),
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func v1(t testing.TB, spec string) json.RawMessage {
	return object(t, "helm.fluxcd.io/v1", "HelmRelease", "", spec)
}

const (
	gitChart  = "chart: {git: git@example.com:a/b.git, path: charts/ghost}\n"
	repoChart = "chart: {repository: https://charts.example.com/, name: ghost, version: 1.2.3}\n"
)

// plain is what a HelmRelease with a chart in a repository and nothing else
// declares.
func plain() resource.Resource {
	return resource.Resource{
		Ref: applier.Ref{Group: "helm.fluxcd.io", Version: "v1", Kind: "HelmRelease", Namespace: "demo", Name: "ghost"},
		UID: "u1", Generation: 3,
		Spec: release.Spec{
			Owner:       "helmrelease_demo_ghost",
			Ref:         helm.ReleaseRef{Namespace: "demo", Name: "demo-ghost"},
			Chart:       release.Chart{Repository: "https://charts.example.com/", Name: "ghost", Version: "1.2.3"},
			Timeout:     300 * time.Second,
			MaxHistory:  10,
			Adopt:       true,
			Annotations: "sluice.dev/",
			Remedy:      release.Remedy{Retries: -1},
			Uninstall:   release.Uninstall{Wait: true},
		},
	}
}

func TestEveryField(t *testing.T) {
	key := func(namespace, name, key string) *release.ObjectKey {
		return &release.ObjectKey{Namespace: namespace, Name: name, Key: key}
	}
	inGit := func(git resource.Git) func(*resource.Resource) {
		return func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{IgnoreLock: true}
			r.Git = &git
		}
	}
	const url = "git@example.com:a/b.git"
	tests := map[string]struct {
		spec string
		want func(*resource.Resource)
	}{
		"defaults": {repoChart, func(*resource.Resource) {}},
		"nulls are as good as nothing": {repoChart + "helmVersion: null\nvalues:\nvaluesFrom:\nrollback:\ntest:\ntimeout:\nwait:\nreleaseName:\ntargetNamespace:\nvalueFileSecrets:\nmaxHistory:\n",
			func(*resource.Resource) {}},
		"helmVersion":     {repoChart + "helmVersion: v3", func(*resource.Resource) {}},
		"chart.git":       {gitChart, inGit(resource.Git{URL: url, Ref: "master", Path: "charts/ghost"})},
		"chart.ref":       {"chart: {git: " + url + ", path: /charts/ghost/, ref: v1}", inGit(resource.Git{URL: url, Ref: "v1", Path: "charts/ghost"})},
		"chart.git, ssh":  {"chart: {git: 'ssh://git@git.example.com:2222/a', path: a}", inGit(resource.Git{URL: "ssh://git@git.example.com:2222/a", Ref: "master", Path: "a"})},
		"chart.git, scp":  {"chart: {git: 'git.example.com:~/a b.git', path: a}", inGit(resource.Git{URL: "git.example.com:~/a b.git", Ref: "master", Path: "a"})},
		"chart.path":      {"chart: {git: " + url + ", path: .}", inGit(resource.Git{URL: url, Ref: "master", Path: "."})},
		"chart.secretRef": {"chart: {git: " + url + ", path: a, secretRef: {name: key}}", inGit(resource.Git{URL: url, Ref: "master", Path: "a", Secret: key("demo", "key", "")})},
		"chart.secretRef.namespace": {"chart: {git: " + url + ", path: a, secretRef: {name: key, namespace: demo}}",
			inGit(resource.Git{URL: url, Ref: "master", Path: "a", Secret: key("demo", "key", "")})},
		"chart.skipDepUpdate": {"chart: {git: " + url + ", path: a, skipDepUpdate: true}", func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{IgnoreLock: true, KeepDependencies: true}
			r.Git = &resource.Git{URL: url, Ref: "master", Path: "a"}
		}},
		"chart.repository": {"chart: {repository: oci://r.example.com/charts, name: ghost, version: ^1}", func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{Repository: "oci://r.example.com/charts", Name: "ghost", Version: "^1"}
		}},
		"chart.chartPullSecret": {"chart: {repository: https://charts.example.com/, name: ghost, version: 1.2.3, chartPullSecret: {name: pull}}", func(r *resource.Resource) {
			r.Spec.Chart.AuthFrom = key("demo", "pull", "")
		}},
		"releaseName":            {repoChart + "releaseName: blog", func(r *resource.Resource) { r.Spec.Ref.Name = "blog" }},
		"targetNamespace":        {repoChart + "targetNamespace: web", func(r *resource.Resource) { r.Spec.Ref = helm.ReleaseRef{Namespace: "web", Name: "demo-web-ghost"} }},
		"targetNamespace, named": {repoChart + "targetNamespace: web\nreleaseName: blog", func(r *resource.Resource) { r.Spec.Ref = helm.ReleaseRef{Namespace: "web", Name: "blog"} }},
		"targetNamespace, own":   {repoChart + "targetNamespace: demo", func(*resource.Resource) {}},
		"maxHistory":             {repoChart + "maxHistory: 0", func(r *resource.Resource) { r.Spec.MaxHistory = 0 }},
		"timeout":                {repoChart + "timeout: 60", func(r *resource.Resource) { r.Spec.Timeout = time.Minute }},
		"resetValues":            {repoChart + "resetValues: false", func(r *resource.Resource) { r.Spec.ReuseValues = true }},
		"resetValues, default":   {repoChart + "resetValues: true", func(*resource.Resource) {}},
		"skipCRDs":               {repoChart + "skipCRDs: true", func(r *resource.Resource) { r.Spec.CRDs = helm.CRDsSkip }},
		"wait":                   {repoChart + "wait: true", func(r *resource.Resource) { r.Spec.Wait = helm.WaitReady }},
		"forceUpgrade":           {repoChart + "forceUpgrade: true", func(r *resource.Resource) { r.Spec.Force = true }},
		"disableOpenAPIValidation": {repoChart + "disableOpenAPIValidation: true", func(r *resource.Resource) {
			r.Spec.SkipOpenAPI = true
		}},
		"rollback.enable": {repoChart + "rollback: {enable: true}", func(r *resource.Resource) {
			r.Spec.Wait = helm.WaitReady
			r.Spec.Remedy = release.Remedy{Action: release.RemedyRollback, Timeout: 300 * time.Second, MaxRollbacks: 5}
		}},
		"rollback, not waited for": {repoChart + "rollback: {enable: true}\nwait: false", func(r *resource.Resource) {
			r.Spec.Remedy = release.Remedy{Action: release.RemedyRollback, Timeout: 300 * time.Second, MaxRollbacks: 5}
		}},
		"rollback.*": {repoChart + "rollback: {enable: true, retry: true, maxRetries: 0, force: true, disableHooks: true, timeout: 7, wait: true}", func(r *resource.Resource) {
			r.Spec.Wait = helm.WaitReady
			r.Spec.Remedy = release.Remedy{Action: release.RemedyRollback, RetryRolledBack: true, Force: true, DisableHooks: true, Timeout: 7 * time.Second, Wait: helm.WaitReady}
		}},
		"rollback, not enabled": {repoChart + "rollback: {enable: false, retry: true, force: true}", func(*resource.Resource) {}},
		"test.enable": {repoChart + "test: {enable: true}", func(r *resource.Resource) {
			r.Spec.Wait = helm.WaitReady
			r.Spec.Test = &release.Test{Timeout: 300 * time.Second, Cleanup: true}
		}},
		"test.*": {repoChart + "test: {enable: true, ignoreFailures: true, timeout: 9, cleanup: false}", func(r *resource.Resource) {
			r.Spec.Wait = helm.WaitReady
			r.Spec.Test = &release.Test{Timeout: 9 * time.Second, IgnoreFailures: true}
		}},
		"valueFileSecrets come first": {repoChart + "valuesFrom: [{configMapKeyRef: {name: c}}]\nvalueFileSecrets: [{name: a}, {name: b}]", func(r *resource.Resource) {
			r.Spec.From = []release.ValuesFrom{
				{Secret: key("demo", "a", "values.yaml"), Place: "spec.valueFileSecrets[0]"},
				{Secret: key("demo", "b", "values.yaml"), Place: "spec.valueFileSecrets[1]"},
				{ConfigMap: key("demo", "c", "values.yaml"), Lenient: true, Place: "spec.valuesFrom[0].configMapKeyRef"},
			}
		}},
		"valuesFrom": {repoChart + `valuesFrom:
- configMapKeyRef: {name: c, namespace: demo, key: a.yaml, optional: true}
- secretKeyRef: {name: s, key: b.yaml, optional: true}
- externalSourceRef: {url: https://example.com/v.yaml, optional: true}
- chartFileRef: {path: overrides/prod.yaml, optional: true}
- {chartFileRef: {path: b.yaml}, secretKeyRef: null}`, func(r *resource.Resource) {
			r.Spec.From = []release.ValuesFrom{
				{ConfigMap: key("demo", "c", "a.yaml"), Optional: true, Lenient: true, Place: "spec.valuesFrom[0].configMapKeyRef"},
				{Secret: key("demo", "s", "b.yaml"), Optional: true, Lenient: true, Place: "spec.valuesFrom[1].secretKeyRef"},
				{URL: "https://example.com/v.yaml", NoLocal: true, Optional: true, Lenient: true, Place: "spec.valuesFrom[2].externalSourceRef"},
				{ChartFile: "overrides/prod.yaml", Optional: true, Lenient: true, Place: "spec.valuesFrom[3].chartFileRef"},
				{ChartFile: "b.yaml", Lenient: true, Place: "spec.valuesFrom[4].chartFileRef"},
			}
		}},
		"values": {repoChart + "values: {a: {b: 12345678901234567890}}", func(r *resource.Resource) {
			r.Spec.Values = secret.New(`{"a":{"b":12345678901234567890}}`)
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resource.Parse(v1(t, tt.spec), resource.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := plain()
			tt.want(&want)
			compare(t, want, got)
		})
	}
}

// compare leaves out Declared, which has a test of its own.
func compare(t *testing.T, want, got resource.Resource) {
	t.Helper()
	if len(got.Declared) != 64 {
		t.Errorf("the digest is %q", got.Declared)
	}
	got.Declared = ""
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(resource.Status{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnnotations(t *testing.T) {
	tests := map[string]struct {
		annotations string
		want        func(*resource.Resource)
	}{
		"on-remove":         {"sluice.dev/on-remove: keep", func(r *resource.Resource) { r.KeepOnRemove = true }},
		"on-move":           {"sluice.dev/on-move: reinstall", func(r *resource.Resource) { r.Spec.OnMove = release.MoveReinstall }},
		"adopt":             {"sluice.dev/adopt: 'false'", func(r *resource.Resource) { r.Spec.Adopt = false }},
		"suspend":           {"sluice.dev/suspend: 'true'\nsluice.dev/suspend-reason: migration", func(r *resource.Resource) { r.Suspended, r.SuspendReason = true, "migration" }},
		"drift, warn":       {"sluice.dev/drift: warn", func(r *resource.Resource) { r.Spec.Drift.Mode = release.DriftWarn }},
		"drift, off":        {"sluice.dev/drift: 'off'", func(r *resource.Resource) { r.Spec.Drift.Mode = release.DriftOff }},
		"defaults":          {"sluice.dev/drift: correct\nsluice.dev/on-remove: uninstall\nsluice.dev/on-move: refuse\nsluice.dev/suspend: 'false'", func(*resource.Resource) {}},
		"depends-on":        {"sluice.dev/depends-on: ' redis, ops/vault,,demo/redis '", func(r *resource.Resource) { r.DependsOn = []string{"demo/redis", "ops/vault"} }},
		"of somebody else":  {"fluxcd.io/automated: 'true'\nexample.com/unheard-of: x", func(*resource.Resource) {}},
		"of the automation": {"sluice.dev/automated: 'true'\nsluice.dev/ignore: 'true'\nsluice.dev/tag.web: semver:1.x", func(*resource.Resource) {}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resource.Parse(object(t, "helm.fluxcd.io/v1", "HelmRelease", tt.annotations, repoChart), resource.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := plain()
			tt.want(&want)
			compare(t, want, got)
		})
	}
}

// A release that may be meant to stay, stays: by a wrong value and by a wrong
// name.
func TestUnclearAnnotationsKeep(t *testing.T) {
	for annotation, keep := range map[string]bool{
		"sluice.dev/on-remove: Keep": true, "sluice.dev/on-remove: 'no'": true, "sluice.dev/suspend: 'True'": true,
		"sluice.dev/on-remov: keep": true, "sluice.dev/suspended: 'true'": true,
		"sluice.dev/on-remove: uninstall": false, "sluice.dev/drift: 'no'": false, "sluice.dev/drif: warn": false, "sluice.dev/unheard-of: x": false,
	} {
		r, err := resource.Parse(object(t, "helm.fluxcd.io/v1", "HelmRelease", annotation, repoChart), resource.Options{})
		if r.KeepOnRemove != keep {
			t.Errorf("%s: keep %v, want %v (%v)", annotation, r.KeepOnRemove, keep, err)
		}
	}
}

func TestOlderKinds(t *testing.T) {
	charts := resource.Options{Charts: resource.Charts{Source: "source.git.charts", Path: "charts"}}
	tests := map[string]struct {
		object json.RawMessage
		want   func(*resource.Resource)
	}{
		"v1beta1": {object(t, "flux.weave.works/v1beta1", "HelmRelease", "", gitChart+"skipDepUpdate: true\ntimeout: 10\nresetValues: false\nreleaseName: x\nvalueFileSecrets: [{name: s}]"), func(r *resource.Resource) {
			r.Ref.Group, r.Ref.Version = "flux.weave.works", "v1beta1"
			r.Spec.Owner = "helmrelease-v1beta1_demo_ghost"
			r.Spec.Ref.Name = "x"
			r.Spec.Chart = release.Chart{IgnoreLock: true, KeepDependencies: true}
			r.Git = &resource.Git{URL: "git@example.com:a/b.git", Ref: "master", Path: "charts/ghost"}
			r.Spec.Timeout, r.Spec.ReuseValues = 10*time.Second, true
			r.Spec.From = []release.ValuesFrom{{Secret: &release.ObjectKey{Namespace: "demo", Name: "s", Key: "values.yaml"}, Place: "spec.valueFileSecrets[0]"}}
		}},
		"v1alpha2": {object(t, "helm.integrations.flux.weave.works/v1alpha2", "FluxHelmRelease", "", "chartGitPath: ghost\nvalues: {a: 1}\nvalueFileSecrets: [{name: s}]"), func(r *resource.Resource) {
			r.Ref.Group, r.Ref.Version, r.Ref.Kind = "helm.integrations.flux.weave.works", "v1alpha2", "FluxHelmRelease"
			r.Spec.Owner = "fluxhelmrelease_demo_ghost"
			r.Spec.Chart = release.Chart{Tree: &release.TreeChart{Source: "source.git.charts", Path: "charts/ghost"}, IgnoreLock: true}
			r.Spec.Values = secret.New(`{"a":1}`)
			r.Spec.From = []release.ValuesFrom{{Secret: &release.ObjectKey{Namespace: "demo", Name: "s", Key: "values.yaml"}, Place: "spec.valueFileSecrets[0]"}}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := resource.Parse(tt.object, charts)
			if err != nil {
				t.Fatal(err)
			}
			want := plain()
			tt.want(&want)
			compare(t, want, got)
		})
	}
}

// TestProblems: each problem names its field, and none hides another.
func TestProblems(t *testing.T) {
	long := strings.Repeat("a", 54)
	tests := map[string]struct {
		spec string
		want []string // of the errors, path and summary
	}{
		"nothing":              {"", []string{"spec.chart: there is no chart"}},
		"no spec at all":       {"null", []string{"spec.chart: there is no chart"}},
		"not an object":        {"[1]", []string{"spec: this is a list, not an object with fields", "spec.chart: there is no chart"}},
		"chart of both sorts":  {"chart: {git: 'g:p', path: p, repository: https://r, name: n, version: '1'}", []string{"spec.chart: the chart is named both by a git and by a chart repository"}},
		"no path":              {"chart: {git: 'g:p'}", []string{"spec.chart.path: the chart's directory in the repository is missing"}},
		"no git":               {"chart: {path: p}", []string{"spec.chart.git: the URL of the chart's git repository is missing"}},
		"git on the disk":      {"chart: {git: /srv/charts.git, path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"git by file":          {"chart: {git: 'file:///srv/charts.git', path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"git of no host":       {"chart: {git: 'https:///charts.git', path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"git by a helper":      {"chart: {git: 'ext::sh -c true', path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"git, relative":        {"chart: {git: './charts:1', path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"git, an option":       {"chart: {git: '-oProxyCommand=x:a', path: p}", []string{"spec.chart.git: a chart is not read from such a URL"}},
		"no range":             {"chart: {repository: https://r, name: n, version: ^^1}", []string{`spec.chart.version: "^^1" is neither a version nor a range of versions`}},
		"path out of the tree": {"chart: {git: 'g:p', path: a/../../b}", []string{"spec.chart.path: the path leads out of the repository"}},
		"only a name":          {"chart: {name: n}", []string{"spec.chart.repository: the URL of the chart repository is missing", "spec.chart.version: the version of the chart, or a range such as 1.x is missing"}},
		"alias":                {"chart: {repository: stable, name: n, version: '1'}", []string{"spec.chart.repository: this is no URL of a chart repository"}},
		"version is a number":  {"chart: {repository: https://r, name: n, version: 1.2}", []string{"spec.chart.version: this is a number, not a text"}},
		"helm 2":               {repoChart + "helmVersion: v2", []string{"spec.helmVersion: releases of Helm 2 are not supported"}},
		"helm 9":               {repoChart + "helmVersion: v9", []string{"spec.helmVersion: there is no such version of Helm, only v3"}},
		"long name":            {repoChart + "releaseName: " + long, []string{"spec.releaseName: release name"}},
		"long default name":    {repoChart + "targetNamespace: " + long, []string{"spec.releaseName: release name"}},
		"bad name":             {repoChart + "releaseName: A_b", []string{"spec.releaseName: release name"}},
		"bad namespace":        {repoChart + "releaseName: a\ntargetNamespace: A", []string{"spec.targetNamespace: the namespace has characters"}},
		"types": {repoChart + "timeout: 5m\nwait: 'yes'\nrollback: true\ntest: {enable: 1}\nvalues: [a]\nmaxHistory: 1.5\nvaluesFrom: {}\nvalueFileSecrets: [s]", []string{
			"spec.timeout: this is a text, not a whole number", "spec.maxHistory: this is a number, not a whole number",
			"spec.rollback: this is true or false, not an object with fields", "spec.test.enable: this is a number, not true or false",
			"spec.wait: this is a text, not true or false", "spec.valueFileSecrets[0]: this is a text, not an object with fields",
			"spec.valueFileSecrets[0].name: the name of a Secret is missing", "spec.valuesFrom: this is an object, not a list",
			"spec.values: this is a list, not an object with fields",
		}},
		"numbers": {repoChart + "timeout: -1\nmaxHistory: -1\nrollback: {maxRetries: -1, timeout: 99999999999}", []string{
			"spec.timeout: not between", "spec.maxHistory: not between", "spec.rollback.timeout: not between", "spec.rollback.maxRetries: not between",
		}},
		"two places":       {repoChart + "valuesFrom: [{configMapKeyRef: {name: a}, secretKeyRef: {name: b}}]", []string{"spec.valuesFrom[0]: values come from one place each"}},
		"no place":         {repoChart + "valuesFrom: [{}, {secretKeyReff: {name: b}}]", []string{"spec.valuesFrom[0]: values come", "spec.valuesFrom[1]: values come"}},
		"no name":          {repoChart + "valuesFrom: [{secretKeyRef: {key: b}}]", []string{"spec.valuesFrom[0].secretKeyRef.name: the name is missing"}},
		"file url":         {repoChart + "valuesFrom: [{externalSourceRef: {url: 'file:///etc/passwd'}}]", []string{"spec.valuesFrom[0].externalSourceRef.url: this is no URL"}},
		"out of the chart": {repoChart + "valuesFrom: [{chartFileRef: {path: ../../secret}}, {chartFileRef: {path: /etc/passwd}}]", []string{"spec.valuesFrom[0].chartFileRef.path: the path leads out", "spec.valuesFrom[1].chartFileRef.path: the path leads out"}},
		"other namespaces": {repoChart + "valuesFrom: [{secretKeyRef: {name: a, namespace: kube-system}}, {configMapKeyRef: {name: a, namespace: x}}]", []string{
			"spec.valuesFrom[0].secretKeyRef.namespace: a resource may not read", "spec.valuesFrom[1].configMapKeyRef.namespace: a resource may not read",
		}},
		"credentials of another": {"chart: {git: 'g:p', path: p, secretRef: {name: a, namespace: x}}", []string{"spec.chart.secretRef.namespace: a resource may not read"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := resource.Parse(v1(t, tt.spec), resource.Options{})
			list, ok := diag.From(err)
			if !ok || len(list) != len(tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for i, want := range tt.want {
				if got := list[i].Path.String() + ": " + list[i].Summary; !strings.HasPrefix(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
			if r.Ref.Name != "ghost" || r.UID != "u1" || r.Generation != 3 {
				t.Errorf("not told which resource it is: %+v", r)
			}
		})
	}
}

func TestProblemsOfAnnotations(t *testing.T) {
	tests := map[string]string{
		"sluice.dev/on-remove: delete": "metadata.annotations.sluice.dev/on-remove: not one of uninstall, keep",
		"sluice.dev/drift: ignore":     "metadata.annotations.sluice.dev/drift: not one of correct, warn, off",
		"sluice.dev/depends-on: a/b/c": `metadata.annotations.sluice.dev/depends-on: "a/b/c" is no name of a resource`,
		"sluice.dev/depends-on: ghost": "metadata.annotations.sluice.dev/depends-on: a resource cannot depend on itself",
		"sluice.dev/suspend: 'yes'":    "metadata.annotations.sluice.dev/suspend: not one of false, true",
	}
	for annotation, want := range tests {
		_, err := resource.Parse(object(t, "helm.fluxcd.io/v1", "HelmRelease", annotation, repoChart), resource.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", annotation, err, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		annotations, spec string
		want              string
	}{
		"unknown field":        {"", repoChart + "vallues: {}", "spec.vallues: there is no such field: It has no effect. Did you mean values?"},
		"unknown inner field":  {"", repoChart + "rollback: {enabled: true}", "spec.rollback.enabled: there is no such field: It has no effect. Did you mean enable?"},
		"unknown chart field":  {"", "chart: {repository: https://r, name: n, version: '1', channel: c}", "spec.chart.channel: there is no such field: It has no effect."},
		"recreate":             {"", repoChart + "rollback: {recreate: true}", "spec.rollback.recreate: pods are not recreated by a rollback: "},
		"no time":              {"", repoChart + "timeout: 0", "spec.timeout: no time at all is not enough: 300 seconds are allowed: "},
		"ref of an archive":    {"", "chart: {repository: https://r, name: n, version: '1', ref: r}", "spec.chart.ref: this has no effect here: "},
		"migration":            {"helm.fluxcd.io/migrate: 'true'", repoChart, "metadata.annotations.helm.fluxcd.io/migrate: releases are not converted: "},
		"misspelt annotation":  {"sluice.dev/on-remve: keep", repoChart, "metadata.annotations.sluice.dev/on-remve: there is no such annotation: Did you mean sluice.dev/on-remove?"},
		"unknown annotation":   {"sluice.dev/on-delete: keep", repoChart, "metadata.annotations.sluice.dev/on-delete: there is no such annotation: "},
		"secret of no git":     {"", "chart: {repository: https://r, name: n, version: '1', secretRef: {name: s}}", "spec.chart.secretRef: this has no effect here: A chart repository is read with chartPullSecret."},
		"pull secret of a git": {"", "chart: {git: 'g:p', path: p, chartPullSecret: {name: s}}", "spec.chart.chartPullSecret: this has no effect here: A git repository is read with secretRef."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := resource.Parse(object(t, "helm.fluxcd.io/v1", "HelmRelease", tt.annotations, tt.spec), resource.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0].Error(), tt.want) {
				t.Errorf("got %v, want %s", r.Warnings, tt.want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	spec := "chart: {git: 'g:p', path: p, secretRef: {name: s, namespace: other}}\nvaluesFrom: [{secretKeyRef: {name: a, namespace: x}}]"
	r, err := resource.Parse(v1(t, spec), resource.Options{CrossNamespace: true, DefaultRef: "main"})
	if err != nil {
		t.Fatal(err)
	}
	r2, err := resource.Parse(v1(t, repoChart+"valuesFrom: [{externalSourceRef: {url: 'http://localhost/v.yaml'}}]"), resource.Options{LocalURLs: true})
	if err != nil || r2.Spec.From[0].NoLocal {
		t.Errorf("%+v, %v", r2.Spec.From, err)
	}
	if r.Git.Ref != "main" || r.Git.Secret.Namespace != "other" || r.Spec.From[0].Secret.Namespace != "x" {
		t.Errorf("got %+v, %+v", r.Git, r.Spec.From)
	}
	_, err = resource.Parse(object(t, "helm.integrations.flux.weave.works/v1alpha2", "FluxHelmRelease", "", "chartGitPath: a"), resource.Options{})
	if err == nil || !strings.Contains(err.Error(), "spec.chartGitPath: it is not configured where charts are") {
		t.Errorf("without a place for charts: %v", err)
	}
}

func TestNoResource(t *testing.T) {
	tests := map[string]string{
		`{`:  "this is an object, not an object with fields",
		`[]`: "this is a list, not an object with fields",
		`{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}}`:         "apiVersion: no known resource that declares a release",
		`{"apiVersion": "helm.fluxcd.io/v2", "kind": "HelmRelease", "metadata": {"name": "a"}}`:                "apiVersion: no known resource that declares a release",
		`{"apiVersion": "helm.fluxcd.io/v1", "kind": "HelmRelease", "metadata": {"name": "a"}}`:                "metadata.namespace: the resource has no namespace",
		`{"apiVersion": "helm.fluxcd.io/v1", "kind": "HelmRelease", "metadata": {"namespace": "a"}}`:           "metadata.name: the resource has no name",
		`{"apiVersion": "helm.fluxcd.io/v1", "kind": "HelmRelease", "metadata": {"name": 1, "namespace": 2}}`:  "metadata.namespace: this is a number, not a text; metadata.name: this is a number, not a text",
		`{"apiVersion": "helm.fluxcd.io/v1", "kind": "HelmRelease", "metadata": {"finalizers": {"a": "b" } }}`: "metadata.finalizers: this is an object, not a list of names",
	}
	for text, want := range tests {
		if _, err := resource.Parse(json.RawMessage(text), resource.Options{}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestDeclared: a run is due when this changes, so it must change with what is
// declared, and with nothing that the daemon writes.
func TestDeclared(t *testing.T) {
	parse := func(annotations, spec, more string) string {
		var v map[string]any
		if err := json.Unmarshal(object(t, "helm.fluxcd.io/v1", "HelmRelease", annotations, spec), &v); err != nil {
			t.Fatal(err)
		}
		if more != "" {
			v["status"] = map[string]any{"phase": more}
			v["metadata"].(map[string]any)["generation"] = 9
			v["metadata"].(map[string]any)["finalizers"] = []string{resource.Finalizer}
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		r, err := resource.Parse(text, resource.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Finalized != (more != "") || string(r.Status.Phase) != more {
			t.Errorf("finalized %t, phase %q", r.Finalized, r.Status.Phase)
		}
		return r.Declared
	}
	base := parse("", repoChart, "")
	for name, same := range map[string]string{
		"a status":             parse("", repoChart, "Failed"),
		"a foreign annotation": parse("fluxcd.io/automated: 'true'", repoChart, ""),
	} {
		if same != base {
			t.Errorf("changed with %s", name)
		}
	}
	for name, other := range map[string]string{
		"a value":       parse("", repoChart+"values: {a: 1}", ""),
		"an annotation": parse("sluice.dev/suspend: 'true'", repoChart, ""),
	} {
		if other == base {
			t.Errorf("did not change with %s", name)
		}
	}
}

// TestErrorsDoNotQuoteValues: what somebody put in the wrong place may be a
// password.
func TestErrorsDoNotQuoteValues(t *testing.T) {
	spec := "chart: {repository: 'https://u:hunter2@[', name: {hunter2: hunter2}, version: 1}\nvalues: hunter2\ntimeout: hunter2\nvaluesFrom: [{externalSourceRef: {url: hunter2}}, hunter2]"
	_, err := resource.Parse(v1(t, spec), resource.Options{})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

// shared returns a directory of real repositories, or skips.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", name)
	if env := os.Getenv("SLUICE_SHARED_DATA"); env != "" {
		dir = filepath.Join(env, name)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s: set SLUICE_SHARED_DATA to the directory that has it", dir)
	}
	return dir
}

// TestRealResources: those of the repository that every user of Flux v1 has
// started with.
func TestRealResources(t *testing.T) {
	tests := map[string]func(*resource.Resource){
		"ghost": func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{IgnoreLock: true}
			r.Git = &resource.Git{URL: "ssh://git@github.com/fluxcd/flux-get-started", Ref: "master", Path: "charts/ghost"}
		},
		"mongodb": func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{Repository: "https://kubernetes-charts.storage.googleapis.com/", Name: "mongodb", Version: "7.6.3"}
		},
		"redis": func(r *resource.Resource) {
			r.Spec.Chart = release.Chart{Repository: "https://kubernetes-charts.storage.googleapis.com/", Name: "redis", Version: "10.3.1"}
			r.Spec.From = []release.ValuesFrom{{Secret: &release.ObjectKey{Namespace: "demo", Name: "redis-auth", Key: "values.yaml"}, Place: "spec.valueFileSecrets[0]"}}
		},
	}
	dir := filepath.Join(shared(t, "flux-get-started"), "releases")
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := resource.Parse(asJSON(t, string(text)), resource.Options{})
			if err != nil {
				t.Fatal(err)
			}
			want := plain()
			want.Ref.Name, want.UID, want.Generation = name, "", 0
			want.Spec.Owner, want.Spec.Ref.Name = "helmrelease_demo_"+name, name
			change(&want)
			if !strings.Contains(got.Spec.Values.Reveal(), `"repository":"bitnami/`+name+`"`) {
				t.Errorf("values %s", got.Spec.Values.Reveal())
			}
			want.Spec.Values = got.Spec.Values
			compare(t, want, got)
		})
	}
}

func TestID(t *testing.T) {
	for kind, want := range map[string]string{
		"helm.fluxcd.io/v1 HelmRelease":                               "helmrelease.prod/demo/ghost",
		"flux.weave.works/v1beta1 HelmRelease":                        "helmrelease-v1beta1.prod/demo/ghost",
		"helm.integrations.flux.weave.works/v1alpha2 FluxHelmRelease": "fluxhelmrelease.prod/demo/ghost",
	} {
		apiVersion, kind, _ := strings.Cut(kind, " ")
		r, _ := resource.Parse(object(t, apiVersion, kind, "", "{}"), resource.Options{})
		if got := r.ID("prod"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if a, n := resource.ApplierOf(want), resource.NamespaceOf(want); a != "prod" || n != "demo" {
			t.Errorf("%s is of the applier %q and the namespace %q", want, a, n)
		}
	}
	for _, id := range []string{"release.ghost", "sync.a/b/c", "helmrelease.prod", ""} {
		if a, n := resource.ApplierOf(id), resource.NamespaceOf(id); a != "" || n != "" {
			t.Errorf("%s is of the applier %q and the namespace %q", id, a, n)
		}
	}
}

// FuzzParse: whatever a cluster holds, Parse answers, names the resource if it
// can, and puts no problem where there is no field.
func FuzzParse(f *testing.F) {
	f.Add([]byte(v1(f, gitChart)))
	f.Add([]byte(v1(f, repoChart+"valuesFrom: [{secretKeyRef: {name: a}}]\nrollback: {enable: true}\ntest: {enable: true}")))
	f.Add([]byte(object(f, "helm.integrations.flux.weave.works/v1alpha2", "FluxHelmRelease", "sluice.dev/depends-on: a, b/c", "chartGitPath: a")))
	f.Add([]byte(`{"apiVersion":"helm.fluxcd.io/v1","kind":"HelmRelease","metadata":{"name":"a","namespace":"b"},"spec":{"chart":null,"values":{"":0}},"status":{"conditions":[{}],"phase":1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := resource.Parse(text, resource.Options{Charts: resource.Charts{Source: "source.git.a"}})
		if _, ok := diag.From(err); err != nil && !ok {
			t.Fatalf("not diagnostics: %v", err)
		}
		if err == nil {
			if release.CheckName(r.Spec.Ref.Name) != nil || r.Ref.Name == "" || r.Spec.Owner == "" || len(r.Spec.Owner) > 63 {
				t.Fatalf("accepted %+v", r)
			}
			if c := r.Spec.Chart; r.Git == nil && c.Tree == nil && c.Repository == "" {
				t.Fatal("accepted without a chart")
			}
		}
		if _, changed := resource.Patch(r.Status, r.Status); changed {
			t.Fatal("a status differs from itself")
		}
	})
}

// TestParseFile: what a file declares has its places there, as far as they are
// known.
func TestParseFile(t *testing.T) {
	lines := map[string]int{"spec.timeout": 7, "spec.valuesFrom[0].configMapKeyRef": 9, "spec.values.image": 12}
	locate := func(path diag.Path) *diag.Range {
		if line := lines[path.String()]; line > 0 {
			return &diag.Range{File: "apps/web.yaml", Start: diag.Pos{Line: line, Column: 3}}
		}
		return nil
	}
	_, err := resource.ParseFile(v1(t, repoChart+"timeout: soon\nmaxHistory: many"), resource.Options{}, locate)
	const want = "apps/web.yaml:7:3: spec.timeout: this is a text, not a whole number; spec.maxHistory: this is a text, not a whole number"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	r, err := resource.ParseFile(v1(t, repoChart+"valuesFrom: [{configMapKeyRef: {name: c}}]\nvalues: {image: a}"), resource.Options{}, locate)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Spec.From[0].Place; got != "apps/web.yaml:9:3" {
		t.Errorf("the ConfigMap is named at %q", got)
	}
	if at := r.Spec.Locate(diag.Attr("image")); at == nil || at.String() != "apps/web.yaml:12:3" {
		t.Errorf("the value is at %v", at)
	}
	if at := r.Spec.Locate(diag.Attr("other")); at != nil {
		t.Errorf("a value that nobody set is at %v", at)
	}
}
