package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const small = `apiVersion: v1
kind: Namespace
metadata: {name: NS}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS}
data: {a: "1"}
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: NS}
stringData: {p: hunter2}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

func setOf(t *testing.T, owner, namespace string, manifests string) applier.Set {
	t.Helper()
	return applier.Set{
		Owner: owner, Complete: true, Revision: "main@1",
		Objects: itemsOf(t, map[string]string{"all.yaml": strings.ReplaceAll(manifests, "NS", namespace)}),
	}
}

func originOf(t *testing.T, target *target, set applier.Set) string {
	t.Helper()
	summary, err := target.Plan(t.Context(), set, func(applier.Change) {})
	if err != nil {
		t.Fatal(err)
	}
	return summary.Origin
}

func TestPlanApplyDelete(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	set := setOf(t, "shop", ns, small)
	names := []string{"Namespace/" + ns, ns + ":ConfigMap/settings", ns + ":Secret/password", ns + ":Deployment.apps/web"}

	want := map[string]applier.Action{}
	for _, n := range names {
		want[n] = applier.Create
	}
	if diff := cmp.Diff(want, actions(planOf(t, target, set))); diff != "" {
		t.Fatalf("first plan (-want +got):\n%s", diff)
	}
	created := map[string]applier.Outcome{}
	for _, n := range names {
		created[n] = applier.Created
	}
	if diff := cmp.Diff(created, outcomes(applyOf(t, target, set))); diff != "" {
		t.Fatalf("apply (-want +got):\n%s", diff)
	}
	for n := range want {
		want[n] = applier.None
	}
	if diff := cmp.Diff(want, actions(planOf(t, target, set))); diff != "" {
		t.Fatalf("second plan (-want +got):\n%s", diff)
	}

	moved := set
	moved.Origin = "git https://git.example.com/shop.git main deploy"
	if got := originOf(t, target, moved); got != "" {
		t.Errorf("origin before one was recorded: %q", got)
	}
	applyOf(t, target, moved)
	if got := originOf(t, target, set); got != moved.Origin {
		t.Errorf("origin: %q, want %q", got, moved.Origin)
	}

	less := setOf(t, "shop", ns, strings.SplitAfter(small, "---\n")[0]+strings.SplitAfter(small, "---\n")[1])
	changes := planOf(t, target, less)
	want[names[2]], want[names[3]] = applier.Prune, applier.Prune
	if diff := cmp.Diff(want, actions(changes)); diff != "" {
		t.Fatalf("plan without two (-want +got):\n%s", diff)
	}
	deleted := deleteOf(t, target, applier.Deletion{Owner: "shop", Refs: []applier.Ref{changes[names[2]].Ref, changes[names[3]].Ref}})
	if diff := cmp.Diff(map[string]applier.Outcome{names[2]: applier.Deleted, names[3]: applier.Deleted}, outcomes(deleted)); diff != "" {
		t.Fatalf("delete (-want +got):\n%s", diff)
	}
	if got := slices.Sorted(maps.Keys(planOf(t, target, less))); len(got) != 2 {
		t.Errorf("plan after the deletion has %v, want the two that are left", got)
	}

	none := setOf(t, "shop", ns, "")
	changes = planOf(t, target, none)
	if !changes[names[0]].Protected || changes[names[1]].Protected {
		t.Errorf("want the namespace alone protected: %+v", changes)
	}
	deleteOf(t, target, applier.Deletion{Owner: "shop", Refs: []applier.Ref{changes[names[0]].Ref, changes[names[1]].Ref}})
	list, err := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(target.config.InventoryNamespace).
		List(t.Context(), metav1.ListOptions{LabelSelector: "sluice.dev/inventory"})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 0 {
		t.Errorf("the inventory of nothing is still there: %v", list.Items)
	}
}
