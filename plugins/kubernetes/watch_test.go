package main

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// watching runs Watch in the background; the returned function waits for the
// first status that matches, or is content with the newest of an object that was
// passed over before: a rollout may be over before the watch begins.
func watching(t *testing.T, target *target, owner string) func(what string, match func(applier.ObjectStatus) bool) {
	t.Helper()
	seen := make(chan applier.ObjectStatus, 1000)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- target.Watch(ctx, owner, func(s applier.ObjectStatus) { seen <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	passed := map[applier.Ref]applier.ObjectStatus{}
	return func(what string, match func(applier.ObjectStatus) bool) {
		t.Helper()
		for ref, s := range passed {
			if match(s) {
				delete(passed, ref)
				return
			}
		}
		limit := time.After(2 * time.Minute) // the nodes of a busy test cluster take their time
		for {
			select {
			case s := <-seen:
				passed[s.Ref] = s
				if match(s) {
					delete(passed, s.Ref)
					return
				}
			case <-limit:
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	set := setOf(t, "shop", ns, strings.Replace(small, "replicas: 0", "replicas: 2", 1))
	applyOf(t, target, set)
	until := watching(t, target, "shop")
	until("the end of the first pass", func(s applier.ObjectStatus) bool { return s.Ref.Kind == "" })
	is := func(kind string, drifted bool, h applier.Health) func(applier.ObjectStatus) bool {
		return func(s applier.ObjectStatus) bool {
			if s.Drifted && !drifted {
				t.Errorf("false drift: %+v", s)
			}
			return s.Ref.Kind == kind && s.Drifted == drifted && s.Health == h
		}
	}
	until("the rollout", is("Deployment", false, applier.Current))
	if c := planOf(t, target, set)[ns+":Deployment.apps/web"]; c.Action != applier.None {
		t.Errorf("plan after controllers wrote the status: %s (%s), want none", c.Action, c.Reason)
	}

	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns)
	patch := func(body string) {
		t.Helper()
		if _, err := configMaps.Patch(t.Context(), "settings", types.MergePatchType, []byte(body), metav1.PatchOptions{FieldManager: "intruder"}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"data":{"unowned":"x"}}`)
	patch(`{"data":{"a":"2"}}`)
	until("drift", is("ConfigMap", true, applier.Current))
	c := planOf(t, target, set)[ns+":ConfigMap/settings"]
	if c.Action != applier.Update || !strings.Contains(c.Reason, "intruder") {
		t.Errorf("plan after a foreign write: %s (%s), want update naming intruder", c.Action, c.Reason)
	}
	if r := applyOf(t, target, set)[ns+":ConfigMap/settings"]; r.Outcome != applier.Updated || !strings.Contains(r.Reason, "changed in the cluster by intruder") {
		t.Errorf("the repair: %s (%s), want updated, naming intruder", r.Outcome, r.Reason)
	}
	until("the repair", is("ConfigMap", false, applier.Current))
	if err := configMaps.Delete(t.Context(), "settings", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the loss", is("ConfigMap", true, applier.NotFound))
	applyOf(t, target, set)
	until("the return", is("ConfigMap", false, applier.Current))
}

// TestWatchTellsWhyPodsFail has the scheduler's reason first, then sets the
// status that a kubelet would report.
func TestWatchTellsWhyPodsFail(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	manifest := strings.Replace(small, "replicas: 0", "replicas: 1", 1)
	manifest = strings.Replace(manifest, "spec: {containers:", "spec: {nodeSelector: {no: such-node}, containers:", 1)
	applyOf(t, target, setOf(t, "shop", ns, manifest))
	until := watching(t, target, "shop")
	until("the scheduler's reason", func(s applier.ObjectStatus) bool {
		return s.Ref.Kind == "Deployment" && s.Health == applier.InProgress && strings.Contains(s.Message, "available; pod web-") && strings.Contains(s.Message, "not scheduled: ")
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
	until("the pod's reason", func(s applier.ObjectStatus) bool {
		return s.Ref.Kind == "Deployment" && s.Health == applier.Stalled && strings.Contains(s.Message, "container web: ImagePullBackOff: no such image")
	})
}
