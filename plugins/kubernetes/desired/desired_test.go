package desired

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

var served = cluster.NewKinds(func(context.Context) ([]cluster.Kind, map[string]error, error) {
	kind := func(group, version, kind, resource string, namespaced bool) cluster.Kind {
		return cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, Resource: resource, Namespaced: namespaced}
	}
	return []cluster.Kind{
		kind("", "v1", "ConfigMap", "configmaps", true),
		kind("", "v1", "Secret", "secrets", true),
		kind("", "v1", "Namespace", "namespaces", false),
		kind("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
		kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
		kind("networking.k8s.io", "v1", "Ingress", "ingresses", true),
		kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false),
	}, map[string]error{"metrics.k8s.io": context.DeadlineExceeded}, nil
})

var options = Options{Namespace: "default", Label: "member", Member: "me"}

// read reads YAML documents as the file x.yaml, one line each.
func read(t *testing.T, o Options, docs ...string) Set {
	t.Helper()
	var lines strings.Builder
	for i, doc := range docs {
		object, err := yaml.YAMLToJSON([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, `{"file":"x.yaml","line":%d,"object":%s}`+"\n", i+1, object)
	}
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Read(t.Context(), path, o, served)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestBody(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"gets namespace and label", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"member":"me"},"name":"a","namespace":"default"}}`},
		{"loses what the cluster owns", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns, uid: u, resourceVersion: "1", creationTimestamp: null, managedFields: [], annotations: {k: v, kubectl.kubernetes.io/last-applied-configuration: "{}"}}, status: {x: 1}}`,
			`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"k":"v"},"labels":{"member":"me"},"name":"a","namespace":"ns"}}`},
		{"stringData becomes data and wins", `{apiVersion: v1, kind: Secret, metadata: {name: a, namespace: ns}, data: {p: b2xk, q: cQ==}, stringData: {p: new}}`,
			`{"apiVersion":"v1","data":{"p":"bmV3","q":"cQ=="},"kind":"Secret","metadata":{"labels":{"member":"me"},"name":"a","namespace":"ns"}}`},
		{"numbers stay numbers", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: ns, labels: {l: x}}, big: 9007199254740993, small: 0.5}`,
			`{"apiVersion":"v1","big":9007199254740993,"kind":"ConfigMap","metadata":{"labels":{"l":"x","member":"me"},"name":"a","namespace":"ns"},"small":0.5}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			obj := read(t, options, tt.in).Objects[0]
			if obj.Problem != nil {
				t.Fatal(obj.Problem)
			}
			if diff := cmp.Diff(tt.want, string(obj.Body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if again := read(t, options, tt.in).Objects[0]; again.Hash != obj.Hash || obj.Hash == "" {
				t.Errorf("hash %q, then %q", obj.Hash, again.Hash)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	limited := options
	limited.Namespaces = []string{"shop", "ops"}
	tests := []struct {
		name, in, want string
		options        Options
	}{
		{"version not served", `{apiVersion: autoscaling/v2beta1, kind: HorizontalPodAutoscaler, metadata: {name: a}}`,
			"HorizontalPodAutoscaler autoscaling/v2beta1 is not served; the cluster serves autoscaling/v2, autoscaling/v1", options},
		{"group moved", `{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: a}}`,
			"Ingress extensions/v1beta1 is not served; the cluster serves Ingress in networking.k8s.io/v1", options},
		{"unknown", `{apiVersion: helm.fluxcd.io/v1, kind: HelmRelease, metadata: {name: a}}`,
			"no CRD installed for HelmRelease helm.fluxcd.io/v1", options},
		{"group down", `{apiVersion: metrics.k8s.io/v1, kind: Thing, metadata: {name: a}}`,
			"Thing metrics.k8s.io/v1: the API group metrics.k8s.io does not answer: context deadline exceeded", options},
		{"no kind", `{apiVersion: v1, metadata: {name: a}}`, "not a Kubernetes object", options},
		{"namespace that YAML takes for false", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: n}}`, "metadata.namespace is not a string", options},
		{"name that YAML takes for a number", `{apiVersion: v1, kind: ConfigMap, metadata: {name: 1}}`, "metadata.name is not a string", options},
		{"no name", `{apiVersion: v1, kind: ConfigMap}`, "no metadata.name", options},
		{"generated name", `{apiVersion: v1, kind: ConfigMap, metadata: {generateName: a-}}`, "metadata.generateName cannot be applied", options},
		{"labels are a list", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: [x]}}`, "metadata.labels is not a map", options},
		{"secret that is not base64", `{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {ok: aGk=, p: "hunter2!"}}`, "data.p is not base64", options},
		{"secret that is no text", `{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {p: 1}}`, "data.p is not base64", options},
		{"cluster-scoped in a namespace", `{apiVersion: v1, kind: Namespace, metadata: {name: a, namespace: b}}`,
			`Namespace is cluster-scoped, but has metadata.namespace "b"`, options},
		{"outside", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}}`,
			`namespace "kube-system" is outside the applier's limits`, limited},
		{"cluster-scoped outside", `{apiVersion: v1, kind: Namespace, metadata: {name: other}}`,
			"Namespace is cluster-scoped, but the applier is limited to namespaces", limited},
		{"own namespace", `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`, "", limited},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			obj := read(t, tt.options, tt.in).Objects[0]
			got := ""
			if obj.Problem != nil {
				got = obj.Problem.Summary
				if obj.Problem.Subject.String() != "x.yaml:1" {
					t.Errorf("subject %s, want x.yaml:1", obj.Problem.Subject)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingDefinitionOfReleases(t *testing.T) {
	for manifest, want := range map[string]string{
		`{apiVersion: helm.fluxcd.io/v1, kind: HelmRelease, metadata: {name: a}}`:                         "sluice install --crds",
		`{apiVersion: helm.integrations.flux.weave.works/v1, kind: FluxHelmRelease, metadata: {name: a}}`: "sluice install --crds",
		`{apiVersion: example.com/v1, kind: Boat, metadata: {name: a}}`:                                   "Install its CustomResourceDefinition",
	} {
		if p := read(t, options, manifest).Objects[0].Problem; p == nil || !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %+v, want the advice %q", manifest, p, want)
		}
	}
}

func TestDeclaredTwice(t *testing.T) {
	set := read(t, options,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`,
		`{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}}`)
	if set.Objects[0].Problem != nil {
		t.Errorf("first: %v", set.Objects[0].Problem)
	}
	if p := set.Objects[1].Problem; p == nil || !strings.Contains(p.Detail, "x.yaml:1") {
		t.Errorf("second: %v, want a problem that names the first", p)
	}
}

func TestKindOfTheSameSet(t *testing.T) {
	set := read(t, options,
		`{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}`,
		`{apiVersion: example.com/v2, kind: Widget, metadata: {name: w2}}`,
		`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}, spec: {group: example.com, scope: Namespaced, names: {kind: Widget, plural: widgets}, versions: [{name: v1, served: true}, {name: v2, served: false}]}}`)
	w, w2, crd := set.Objects[0], set.Objects[1], set.Objects[2]
	if !w.InSet || w.Kind.Resource != "widgets" || w.Ref.Namespace != "default" || w.Problem != nil {
		t.Errorf("Widget: %+v", w)
	}
	if w2.Problem == nil {
		t.Error("a version that the definition does not serve has no problem")
	}
	if want := (schema.GroupKind{Group: "example.com", Kind: "Widget"}); crd.Defines == nil || *crd.Defines != want {
		t.Errorf("the definition defines %v, want %v", crd.Defines, want)
	}
}

func TestIgnoredDefinitionDefinesNothing(t *testing.T) {
	set := read(t, options,
		`{apiVersion: example.com/v1, kind: Widget, metadata: {name: w}}`,
		`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com, annotations: {sluice.dev/ignore: "true"}}, spec: {group: example.com, scope: Namespaced, names: {kind: Widget, plural: widgets}, versions: [{name: v1, served: true}]}}`)
	if set.Objects[0].Problem == nil {
		t.Error("an object of a kind that nobody will define has no problem")
	}
}

func TestAnonymous(t *testing.T) {
	if !read(t, options, `{apiVersion: v1, kind: ConfigMap}`).Anonymous {
		t.Error("an object without a name is not anonymous")
	}
	if read(t, options, `{apiVersion: example.com/v1, kind: X, metadata: {name: a}}`).Anonymous {
		t.Error("an object of an unknown kind is anonymous")
	}
}

func TestIgnoreAnnotation(t *testing.T) {
	const ours, flux1, old = "sluice.dev/ignore", "fluxcd.io/ignore", "flux.weave.works/ignore"
	for _, tt := range []struct {
		annotations map[string]string
		want        string
		alone       bool
	}{
		{map[string]string{ours: "true"}, ours + "=true", true},
		{map[string]string{flux1: "true"}, flux1 + "=true", true},
		{map[string]string{old: "true"}, old + "=true", true},
		{map[string]string{ours: "sync_only"}, ours + "=sync_only", false},
		{map[string]string{flux1: "sync_only"}, flux1 + "=sync_only", false},
		{map[string]string{old: "sync_only"}, old + "=sync_only", false},
		{map[string]string{ours: "false"}, "", false},
		{map[string]string{flux1: "false", old: "true"}, "", false},
		{map[string]string{flux1: "sync_only", old: "true"}, flux1 + "=sync_only", false},
		{map[string]string{"other": "true"}, "", false},
	} {
		if got, alone := IgnoreAnnotation(tt.annotations); got != tt.want || alone != tt.alone {
			t.Errorf("%v: %q, %t; want %q, %t", tt.annotations, got, alone, tt.want, tt.alone)
		}
	}
	set := read(t, options, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {sluice.dev/ignore: true}}}`)
	if got := set.Objects[0].Ignored; got != "annotation sluice.dev/ignore=true at x.yaml:1" {
		t.Errorf("an unquoted true: %q", got)
	}
	set = read(t, options, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {fluxcd.io/ignore: sync_only}}}`)
	if got := set.Objects[0]; got.Ignored != "" || got.Hash == "" {
		t.Errorf("sync_only is not applied: %+v", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"file":"a","line":1,"object":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"stringData":{"a":1}}}`)
	f.Add(`{"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":null,"annotations":[1]}}}`)
	f.Add(`{"object":null}`)
	f.Fuzz(func(t *testing.T, line string) {
		path := filepath.Join(t.TempDir(), "o")
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := Read(t.Context(), path, options, served)
		if err != nil {
			return
		}
		for _, obj := range set.Objects {
			if obj.Problem == nil && (obj.Hash == "" || !json.Valid(obj.Body)) {
				t.Errorf("object without problem and without body: %+v", obj)
			}
		}
	})
}
