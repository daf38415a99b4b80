package diff

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUnified(t *testing.T) {
	before := object(t, `{kind: ConfigMap, metadata: {name: a, resourceVersion: "1", uid: u, managedFields: [{manager: x}], labels: {applyset.kubernetes.io/part-of: x}}, data: {k: old}, status: {x: 1}}`)
	after := object(t, `{kind: ConfigMap, metadata: {name: a, resourceVersion: "2", uid: u}, data: {k: new}}`)
	ref := applier.Ref{Kind: "ConfigMap", Namespace: "shop", Name: "a"}
	got, err := Unified(ref, before, after)
	if err != nil {
		t.Fatal(err)
	}
	want := "diff live/shop:ConfigMap/a wanted/shop:ConfigMap/a\n--- live/shop:ConfigMap/a\n+++ wanted/shop:ConfigMap/a\n@@ -1,5 +1,5 @@\n data:\n-  k: old\n+  k: new\n kind: ConfigMap\n metadata:\n   name: a\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := Unified(ref, before, before); got != "" || err != nil {
		t.Errorf("of the same: %q, %v", got, err)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	values := []string{"changed-before", "changed-after", "same-value", "gone-value", "came-value", "malformed-value"}
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	before := object(t, "kind: Secret\ndata: {c: "+encode(values[0])+", s: "+encode(values[2])+", g: "+encode(values[3])+"}\nstringData: malformed-value\n")
	after := object(t, "kind: Secret\ndata: {c: "+encode(values[1])+", s: "+encode(values[2])+", n: {deep: came-value}}\n")
	for name, pair := range map[string][2]*unstructured.Unstructured{"update": {before, after}, "create": {nil, after}, "delete": {before, nil}} {
		got, err := Unified(applier.Ref{Kind: "Secret", Name: "a"}, pair[0], pair[1])
		if err != nil || got == "" {
			t.Fatalf("%s: %q, %v", name, got, err)
		}
		for _, v := range values {
			if strings.Contains(got, v) || strings.Contains(got, encode(v)) {
				t.Errorf("%s shows %s:\n%s", name, v, got)
			}
		}
	}
	if before.Object["data"].(map[string]any)["s"] != encode("same-value") {
		t.Error("masking changed the original")
	}
}
