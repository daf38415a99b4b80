package main

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestStuckDeletion: a finalizer that nobody removes is named, the object stays
// known, and what it stands on is not deleted under it.
func TestStuckDeletion(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	held := strings.Replace(configMap(ns, "held", "x"), "metadata: {", "metadata: {finalizers: [example.com/wait], ", 1)
	applyOf(t, target, setOf(t, "shop", ns, namespaceManifest(ns)+"---\n"+held+"---\n"+configMap(ns, "free", "x")))
	var refs []applier.Ref
	for _, c := range planOf(t, target, setOf(t, "shop", ns, "")) {
		refs = append(refs, c.Ref)
	}
	del := applier.Deletion{Owner: "shop", Refs: refs, Timeout: 2 * time.Second}
	results := deleteOf(t, target, del)
	if r := results[ns+":ConfigMap/held"]; r.Outcome != applier.Failed || !strings.Contains(r.Reason, "example.com/wait") {
		t.Errorf("held: %+v, want a failure that names the finalizer", r)
	}
	if r := results[ns+":ConfigMap/free"]; r.Outcome != applier.Deleted {
		t.Errorf("free: %+v", r)
	}
	if r := results["Namespace/"+ns]; r.Outcome != applier.Skipped || !strings.Contains(r.Reason, "ConfigMap/held") {
		t.Errorf("namespace: %+v, want it skipped because of the ConfigMap", r)
	}
	if c := planOf(t, target, setOf(t, "shop", ns, ""))[ns+":ConfigMap/held"]; c.Action != applier.Prune {
		t.Errorf("the stuck object is forgotten: %+v", c)
	}
	if _, err := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns).
		Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	del.Timeout = time.Minute
	for ref, r := range deleteOf(t, target, del) {
		if r.Outcome != applier.Deleted {
			t.Errorf("second deletion of %s: %+v", ref, r)
		}
	}
}

// TestDeleteIsExact: an object that was made anew by somebody else, or that the
// sync never had, is not deleted.
func TestDeleteIsExact(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	applyOf(t, target, setOf(t, "shop", ns, configMap(ns, "mine", "x")))
	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns)
	if err := configMaps.Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "stranger"} {
		if _, err := configMaps.Create(t.Context(), decodeYAML(t, configMap(ns, name, "x")), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ref := func(name string) applier.Ref {
		return applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: ns, Name: name}
	}
	results := deleteOf(t, target, applier.Deletion{Owner: "shop", Refs: []applier.Ref{ref("mine"), ref("stranger"), ref("never-was")}})
	for name, want := range map[string]applier.Outcome{"mine": applier.Failed, "stranger": applier.Failed, "never-was": applier.Deleted} {
		if r := results[ref(name).String()]; r.Outcome != want {
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
	for _, name := range []string{"mine", "stranger"} {
		if _, err := configMaps.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
