package main

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestMark follows a mark through rewrites of the inventory, a restart, and
// somebody who removes it.
func TestMark(t *testing.T) {
	t.Parallel()
	const name = "example.com/applied"
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := makeNamespace(t, target)
	mark := func(a applier.Marker, value string, requests int) {
		t.Helper()
		p.take()
		if err := a.Mark(t.Context(), "shop", name, value); err != nil {
			t.Fatalf("mark %q: %v", value, err)
		}
		if n := total(p.take()); n > requests {
			t.Errorf("mark %q took %d requests, want at most %d", value, n, requests)
		}
	}
	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(target.config.InventoryNamespace)
	want := func(value string) {
		t.Helper()
		u, err := configMaps.Get(t.Context(), inventory.Name("shop"), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := u.GetAnnotations()[name]; got != value {
			t.Errorf("the mark is %q, want %q", got, value)
		}
	}

	if err := target.Mark(t.Context(), "shop", name, "1"); err == nil || !strings.Contains(err.Error(), "before its first apply") {
		t.Errorf("before the first apply: %v", err)
	}
	for _, bad := range []string{"", "a b", "sluice.dev/owner", "applyset.kubernetes.io/id", "/x", strings.Repeat("x", 64)} {
		if err := target.Mark(t.Context(), "shop", bad, "1"); err == nil {
			t.Errorf("the name %q is taken", bad)
		}
	}
	set := setOf(t, "shop", ns, configMap(ns, "a", "x"))
	set.Revision = "main@1"
	applyOf(t, target, set)
	mark(target, "1", 2) // a look at what is there, and the patch
	want("1")
	mark(target, "1", 0)
	mark(target, "2", 1)

	set = setOf(t, "shop", ns, configMap(ns, "a", "x")+"---\n"+configMap(ns, "b", "x"))
	set.Revision = "main@2"
	applyOf(t, target, set)
	want("2")
	mark(target, "2", 0)
	next := realTarget(t, Config{Kubeconfig: kubeconfig, InventoryNamespace: target.config.InventoryNamespace})
	mark(next, "2", 1) // a look
	mark(next, "", 1)
	want("")
	mark(next, "", 0)
	mark(next, "3", 1)

	removal := []byte(`{"metadata":{"annotations":{"` + name + `":null}}}`)
	if _, err := configMaps.Patch(t.Context(), inventory.Name("shop"), types.MergePatchType, removal, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	planOf(t, next, set)
	mark(next, "3", 1)
	want("3")

	all := applier.Deletion{Owner: "shop"}
	for _, object := range []string{"a", "b"} {
		all.Refs = append(all.Refs, applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: ns, Name: object})
	}
	deleteOf(t, next, all)
	if err := next.Mark(t.Context(), "shop", name, "3"); err == nil {
		t.Error("an owner without an inventory is marked")
	}
}

// TestMarkDuringApply marks between the moment at which an apply reads the
// inventory and the one at which it writes it.
func TestMarkDuringApply(t *testing.T) {
	t.Parallel()
	const name = "example.com/applied"
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	direct := realTarget(t, Config{InventoryNamespace: target.config.InventoryNamespace})
	ns := makeNamespace(t, target)
	applyOf(t, target, setOf(t, "shop", ns, configMap(ns, "a", "x")))

	marked := 0
	p.set(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "sluice-sync-") && marked == 0 {
			marked++
			if err := direct.Mark(t.Context(), "shop", name, "1"); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	set := setOf(t, "shop", ns, configMap(ns, "a", "x")+"---\n"+configMap(ns, "b", "x"))
	for ref, r := range applyOf(t, target, set) {
		if r.Outcome == applier.Failed {
			t.Errorf("%s: %+v", ref, r)
		}
	}
	if marked == 0 {
		t.Fatal("the inventory was not written")
	}
	found, err := target.store.Marks(t.Context(), "shop")
	if err != nil || found[name] != "1" {
		t.Errorf("after the apply: %v, %v", found, err)
	}
	if c := planOf(t, target, set)[ns+":ConfigMap/b"]; c.Action != applier.None {
		t.Errorf("the apply went wrong: %+v", c)
	}
}
