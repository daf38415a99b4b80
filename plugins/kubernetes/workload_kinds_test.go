package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// rolloutDefinition is a kind in two versions, of which v1 is the newer one.
const rolloutDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: rollouts.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Rollout, plural: rollouts, singular: rollout, listKind: RolloutList}
  versions:
  - name: v1alpha1
    served: true
    storage: false
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const rolloutObject = `apiVersion: GROUP/v1
kind: Rollout
metadata:
  name: NAME
  namespace: NS
  annotations: {sluice.dev/automated: "true", kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec:
  big: 9007199254740993
  template: {spec: {containers: [{name: main, image: "quay.io/acme/web:1"}]}}
status: {conditions: [{type: Ready, status: "READY", reason: Because, message: it says so}]}
`

// TestWorkloadKinds follows a kind of the filter from before its definition
// exists until after.
func TestWorkloadKinds(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	target.runs.Rediscover = time.Nanosecond
	ns := makeNamespace(t, target)
	group := ns + ".example.com"
	fill := func(text string, more ...string) string {
		return strings.NewReplacer(append(more, "GROUP", group, "NS", ns)...).Replace(text)
	}
	filter := applier.WorkloadFilter{Namespace: ns, Kinds: []applier.Kind{{Group: group, Kind: "Rollout"}, {Group: "apps", Kind: "Deployment"}, {Group: group, Kind: "Rollout"}}}
	account := fill("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: NS}\nimagePullSecrets: [{name: pull}]\n")
	small := fill(strings.Split(everyKind, "---\n")[4]) // a DaemonSet
	applyOf(t, target, applier.Set{Owner: "shop", Complete: true, Adopt: true, Objects: itemsOf(t, map[string]string{"a.yaml": account, "b.yaml": small})})
	if diff := cmp.Diff([]string{ns + ":StatefulSet.apps/db"}, refsOf(workloadsOf(t, target, filter))); diff != "" {
		t.Fatalf("before the definition (-want +got):\n%s", diff)
	}

	definitions := target.client.Dynamic.Resource(gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
	if _, err := definitions.Create(t.Context(), decodeYAML(t, fill(rolloutDefinition)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = definitions.Delete(ctxOf(t), "rollouts."+group, metav1.DeleteOptions{}) })
	rollouts := target.client.Dynamic.Resource(gvr(group, "v1", "rollouts")).Namespace(ns)
	for name, ready := range map[string]string{"done": "True", "waits": "False"} {
		eventually(t, "the new kind", func() (bool, string) {
			_, err := rollouts.Create(t.Context(), decodeYAML(t, fill(rolloutObject, "NAME", name, "READY", ready)), metav1.CreateOptions{})
			return err == nil, fmt.Sprint(err)
		})
	}
	var list []applier.Workload
	eventually(t, "its objects", func() (bool, string) {
		list = workloadsOf(t, target, filter)
		return len(list) == 3, fmt.Sprint(refsOf(list))
	})
	wantRollout(t, list[0], group, ns)
	if r := list[1].Rollout; r.Phase != applier.RolloutUpdating || r.Message != "Because: it says so" {
		t.Errorf("one that is not ready: %+v", r)
	}

	target.runs.Rediscover = time.Hour
	p.take()
	workloadsOf(t, target, filter)
	if counts := p.take(); counts["discovery"] > 0 || total(counts) > 5+1+1+1 { // kinds, ours and theirs, accounts, owners
		t.Errorf("a listing with one more kind takes %v", counts)
	}
	if list := workloadsOf(t, target, applier.WorkloadFilter{Namespace: ns, Owner: "shop", Kinds: filter.Kinds}); len(list) != 1 {
		t.Errorf("of the owner: %v", refsOf(list))
	}

	for _, code := range []int{http.StatusForbidden, http.StatusInternalServerError} { // a broken conversion is answered so
		p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
			if path.Base(r.URL.Path) != "rollouts" {
				return false
			}
			apiStatus(w, code, map[int]string{http.StatusForbidden: "Forbidden", http.StatusInternalServerError: "InternalError"}[code])
			return true
		})
		if list := workloadsOf(t, target, filter); len(list) != 1 {
			t.Errorf("with an answer %d: %v", code, refsOf(list))
		}
	}
	p.set(nil)

	if err := definitions.Delete(t.Context(), "rollouts."+group, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the kind", func() (bool, string) {
		list := workloadsOf(t, target, filter)
		return len(list) == 1, fmt.Sprint(refsOf(list))
	})
}

// wantRollout checks all that is told of an object of a custom kind.
func wantRollout(t *testing.T, w applier.Workload, group, ns string) {
	t.Helper()
	var object struct {
		Kind     string         `json:"kind"`
		Metadata map[string]any `json:"metadata"`
		Spec     map[string]any `json:"spec"`
		Status   map[string]any `json:"status"`
	}
	if err := json.Unmarshal(w.Object, &object); err != nil {
		t.Fatalf("%s: %v", w.Object, err)
	}
	if object.Metadata["managedFields"] != nil || object.Status != nil || strings.Contains(string(w.Object), "last-applied") || !strings.Contains(string(w.Object), "9007199254740993") {
		t.Errorf("the object is told as %s", w.Object)
	}
	w.Object = nil
	if diff := cmp.Diff(applier.Workload{
		Ref:            applier.Ref{Group: group, Version: "v1", Kind: "Rollout", Namespace: ns, Name: "done"},
		ServiceAccount: "default",
		PullSecrets:    []string{"pull"},
		Annotations:    map[string]string{"sluice.dev/automated": "true"},
		Rollout:        applier.Rollout{Phase: applier.RolloutReady},
	}, w); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWorkloadsTellWhyPodsFail has the scheduler's reason first, then the
// status that a kubelet would report, of one of two workloads.
func TestWorkloadsTellWhyPodsFail(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := namespaceFor(t)
	manifest := strings.NewReplacer("replicas: 0", "replicas: 1", "spec: {containers:", "spec: {nodeSelector: {no: such-node}, containers:").Replace(small)
	applyOf(t, target, setOf(t, "shop", ns, manifest))
	rollout := func() applier.Rollout {
		for _, w := range workloadsOf(t, target, applier.WorkloadFilter{Namespace: ns}) {
			if w.Ref.Name == "web" {
				return w.Rollout
			}
		}
		return applier.Rollout{}
	}
	eventually(t, "the scheduler's reason", func() (bool, string) {
		r := rollout()
		return r.Phase == applier.RolloutUpdating && strings.HasPrefix(r.Message, "pod web-") && strings.Contains(r.Message, "not scheduled: "), fmt.Sprintf("%+v", r)
	})
	pods := target.client.Dynamic.Resource(gvr("", "v1", "pods")).Namespace(ns)
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%v pods, %v", list, err)
	}
	status := `{"status":{"containerStatuses":[{"name":"web","image":"nginx:1","imageID":"","ready":false,"restartCount":0,"state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}]}}`
	if _, err := pods.Patch(t.Context(), list.Items[0].GetName(), types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	p.take()
	want := "pod " + list.Items[0].GetName() + ": container web: ImagePullBackOff: no such image"
	if r := rollout(); r.Phase != applier.RolloutFailed || r.Message != want {
		t.Errorf("%+v, want it failed because of %q", r, want)
	}
	if counts := p.take(); total(counts) > 5+1+1+1 { // kinds, accounts, owners, pods
		t.Errorf("telling why takes %v", counts)
	}

	p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if path.Base(r.URL.Path) == "pods" {
			apiStatus(w, http.StatusForbidden, "Forbidden")
			return true
		}
		return false
	})
	if r := rollout(); r.Phase != applier.RolloutUpdating {
		t.Errorf("without a right to list pods: %+v, want it updating", r)
	}
}
