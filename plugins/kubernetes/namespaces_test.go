package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestNamespacesNarrowed: what a sync has outside of the namespaces that were
// left to it is neither looked at nor deleted nor forgotten.
func TestNamespacesNarrowed(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	inside, outside := namespaceFor(t), namespaceFor(t)
	wide := realTarget(t, Config{})
	records := wide.config.InventoryNamespace
	narrow := realTarget(t, Config{Kubeconfig: kubeconfig, InventoryNamespace: records, Namespaces: []string{inside, records}})
	role := "ClusterRole.rbac.authorization.k8s.io/wide-" + outside
	all := setOf(t, "shop", inside, namespaceManifest(inside)+"---\n"+namespaceManifest(outside)+"---\n"+
		configMap(inside, "here", "x")+"---\n"+configMap(inside, "leaves", "x")+"---\n"+configMap(outside, "there", "x")+"---\n"+
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: wide-"+outside+"}\n")
	applyOf(t, wide, all)
	t.Cleanup(func() { deleteAll(t, wide, "shop") })

	var mu sync.Mutex
	var trespasses []string
	p.set(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.String(), outside) {
			mu.Lock()
			defer mu.Unlock()
			trespasses = append(trespasses, r.Method+" "+r.URL.String())
		}
		return false
	})
	less := setOf(t, "shop", inside, namespaceManifest(inside)+"---\n"+configMap(inside, "here", "x"))
	applyOf(t, narrow, less)
	plan := planOf(t, narrow, less)
	want := map[string]applier.Action{
		"Namespace/" + inside:        applier.None,
		inside + ":ConfigMap/here":   applier.None,
		inside + ":ConfigMap/leaves": applier.Prune,
		"Namespace/" + outside:       applier.Kept,
		outside + ":ConfigMap/there": applier.Kept,
		role:                         applier.Kept,
	}
	if diff := cmp.Diff(want, actions(plan)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	var refs []applier.Ref
	for _, c := range plan {
		if c.Action == applier.Kept {
			refs = append(refs, c.Ref)
			if !strings.Contains(c.Reason, "outside the applier's namespaces ("+inside+", "+records+")") {
				t.Errorf("%s is kept for another reason: %s", c.Ref, c.Reason)
			}
		}
	}
	for ref, r := range deleteOf(t, narrow, applier.Deletion{Owner: "shop", Refs: refs}) {
		if r.Outcome != applier.Failed {
			t.Errorf("delete %s: %+v, want failed", ref, r)
		}
	}
	if err := narrow.Status(t.Context(), "shop", func(s applier.ObjectStatus) {
		if out := want[s.Ref.String()] == applier.Kept; out != strings.Contains(s.Message, "outside the applier's namespaces") {
			t.Errorf("status of %s: %+v", s.Ref, s)
		}
	}); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(trespasses) > 0 {
		t.Errorf("requests that go outside:\n%s", strings.Join(trespasses, "\n"))
	}
	for ref, c := range planOf(t, wide, all) {
		if c.Action != applier.None {
			t.Errorf("wide again: %s: %s (%s), want none", ref, c.Action, c.Reason)
		}
	}
}
