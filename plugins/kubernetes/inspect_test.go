package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestInspect finds objects by what people call them, with one request for each
// once the kinds are known.
func TestInspect(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	ns := makeNamespace(t, realTarget(t, Config{}))
	target := realTarget(t, Config{Kubeconfig: kubeconfig, DefaultNamespace: ns})
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web, namespace: " + ns + ", annotations: {a: one, b: two}}\n"
	if _, err := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns).Create(t.Context(), decodeYAML(t, manifest), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := target.client.Kinds.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.take()
	want := applier.Inspected{Ref: applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: ns, Name: "web"}, Annotations: map[string]string{"b": "two"}}
	for _, q := range []applier.Inquiry{
		{Kind: "configmap", Namespace: ns}, {Kind: "ConfigMaps", Namespace: ns}, {Kind: "configmap"},
	} {
		q.Name, q.Annotations = "web", []string{"b", "c"}
		found, err := target.Inspect(t.Context(), q)
		if diff := cmp.Diff(want, found); err != nil || diff != "" {
			t.Errorf("%+v: %v (-want +got):\n%s", q, err, diff)
		}
		if counts := p.take(); total(counts) != 1 {
			t.Errorf("%+v took %v, want one request", q, counts)
		}
	}
	if found, err := target.Inspect(t.Context(), applier.Inquiry{Kind: "namespace", Namespace: "other", Name: ns}); err != nil || found.Ref.Namespace != "" {
		t.Errorf("a namespace: %+v, %v", found, err)
	}
	for _, q := range []applier.Inquiry{
		{Kind: "configmap", Name: "none"}, {Kind: "configmap", Group: "apps", Name: "web"}, {Kind: "nosuchkind", Name: "web"},
	} {
		if _, err := target.Inspect(t.Context(), q); !errors.Is(err, applier.ErrNoResource) {
			t.Errorf("%+v: %v, want ErrNoResource", q, err)
		}
	}
	limited := realTarget(t, Config{Namespaces: []string{ns}})
	if _, err := limited.Inspect(t.Context(), applier.Inquiry{Kind: "configmap", Namespace: "default", Name: "web"}); err == nil || !strings.Contains(err.Error(), "limited to the namespaces") {
		t.Errorf("outside: %v", err)
	}
}
