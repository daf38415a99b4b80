package main

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const deploymentIn = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS}
spec:
  replicas: 0
  selector: {matchLabels: {app: SELECTED}}
  template:
    metadata: {labels: {app: SELECTED}}
    spec: {containers: [{name: web, image: "nginx:1"}]}
`

func deployment(ns, selected string) string {
	return strings.NewReplacer("NS", ns, "SELECTED", selected).Replace(deploymentIn)
}

// makeDeployment makes a Deployment by hand and returns a function that tells
// whether it still is what it was.
func makeDeployment(t *testing.T, target *target, ns, selected string) (stays func() bool) {
	t.Helper()
	c := target.client.Dynamic.Resource(gvr("apps", "v1", "deployments")).Namespace(ns)
	made, err := c.Create(t.Context(), decodeYAML(t, deployment(ns, selected)), metav1.CreateOptions{})
	if err != nil {
		t.Error(err) // perhaps not on the test's own goroutine
		return func() bool { return false }
	}
	return func() bool {
		now, err := c.Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && now.GetUID() == made.GetUID() && now.GetDeletionTimestamp() == nil
	}
}

// TestRecreateSparesStrangers: what was made by hand is not deleted to make
// way, however often the sync tries.
func TestRecreateSparesStrangers(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	ref := ns + ":Deployment.apps/web"
	stays := makeDeployment(t, target, ns, "by-hand")
	set := setOf(t, "shop", ns, deployment(ns, "wanted"))
	set.Recreate, set.Diff = true, true
	const why = "immutable fields changed: spec.selector; it exists, but was not applied by this sync"
	for range 2 {
		if c := planOf(t, target, set)[ref]; c.Action != applier.Refused || c.Reason != why {
			t.Errorf("plan: %+v, want refused: %s", c, why)
		}
		r := applyOf(t, target, set)[ref]
		if r.Outcome != applier.Failed || r.Reason != why || r.Diagnostic.Detail != "Delete it or rename yours." {
			t.Errorf("apply: %+v, want failed: %s", r, why)
		}
		if !stays() {
			t.Fatal("the stranger's Deployment was deleted")
		}
	}
}

// TestRecreateSparesControlled: what another object has come to control is that
// object's to delete.
func TestRecreateSparesControlled(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	ref := ns + ":Deployment.apps/web"
	applyOf(t, target, setOf(t, "shop", ns, deployment(ns, "before")+"---\n"+configMap(ns, "controller", "x")))
	owner, err := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns).Get(t.Context(), "controller", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := target.client.Dynamic.Resource(gvr("apps", "v1", "deployments")).Namespace(ns)
	patch := `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"controller","controller":true,"uid":"` + string(owner.GetUID()) + `"}]}}`
	before, err := c.Patch(t.Context(), "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set := setOf(t, "shop", ns, deployment(ns, "after")+"---\n"+configMap(ns, "controller", "x"))
	set.Recreate = true
	if r := applyOf(t, target, set)[ref]; r.Outcome != applier.Failed || !strings.Contains(r.Reason, "another object controls it") {
		t.Errorf("%+v, want a failure, since another object controls it", r)
	}
	if now, err := c.Get(t.Context(), "web", metav1.GetOptions{}); err != nil || now.GetUID() != before.GetUID() {
		t.Errorf("the controlled Deployment was deleted: %v", err)
	}
}

// TestCreatedMeanwhile: an object that turns up between the look and the apply
// is nobody's to recreate.
func TestCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := makeNamespace(t, target)
	ref := ns + ":Deployment.apps/web"
	direct := realTarget(t, Config{})
	var stays func() bool
	p.set(func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/web") && stays == nil {
			stays = makeDeployment(t, direct, ns, "by-hand")
		}
		return false
	})
	set := setOf(t, "shop", ns, deployment(ns, "wanted"))
	set.Recreate = true
	r := applyOf(t, target, set)[ref]
	if r.Outcome != applier.Failed || r.Reason != "it was created meanwhile; the next sync looks again" {
		t.Errorf("%+v, want a failure that tells of the next sync", r)
	}
	if stays == nil || !stays() {
		t.Error("the stranger's Deployment was deleted")
	}
}
