package main

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const everyKind = `apiVersion: v1
kind: Namespace
metadata: {name: NS}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner, namespace: NS}
imagePullSecrets: [{name: of-the-account}, {name: shared}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS, annotations: {sluice.dev/automated: "true"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {of: pods}}
    spec:
      serviceAccountName: runner
      imagePullSecrets: [{name: of-the-pod}, {name: shared}]
      initContainers:
      - {name: setup, image: "setup:1"}
      - {name: sidecar, image: "sidecar:1", restartPolicy: Always}
      containers: [{name: main, image: "registry.example.com:5000/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: NS}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {nodeSelector: {no: such-node}, containers: [{name: main, image: "agent:1"}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: NS}
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: "db:1"}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly, namespace: NS}
spec:
  schedule: "0 0 31 2 *"
  suspend: true
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: "nightly:1"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NS}
spec:
  suspend: true
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "migrate:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: dns, namespace: NS, labels: {kubernetes.io/cluster-service: "true"}}
spec:
  replicas: 0
  selector: {matchLabels: {app: dns}}
  template:
    metadata: {labels: {app: dns}}
    spec: {containers: [{name: main, image: "dns:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: addon, namespace: NS, labels: {addonmanager.kubernetes.io/mode: Reconcile}}
spec:
  replicas: 0
  selector: {matchLabels: {app: addon}}
  template:
    metadata: {labels: {app: addon}}
    spec: {containers: [{name: main, image: "addon:1"}]}
`

func workloadsOf(t *testing.T, target *target, filter applier.WorkloadFilter) []applier.Workload {
	t.Helper()
	var list []applier.Workload
	if err := target.Workloads(t.Context(), filter, func(w applier.Workload) { list = append(list, w) }); err != nil {
		t.Fatal(err)
	}
	return list
}

func refsOf(list []applier.Workload) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = w.Ref.String()
	}
	return out
}

// TestWorkloads has every kind, a Job that a CronJob made, an object by hand,
// and what is part of the cluster.
func TestWorkloads(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	applyOf(t, target, setOf(t, "shop", ns, everyKind))
	jobs := target.client.Dynamic.Resource(gvr("batch", "v1", "jobs")).Namespace(ns)
	cron, err := target.client.Dynamic.Resource(gvr("batch", "v1", "cronjobs")).Namespace(ns).Get(t.Context(), "nightly", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []metav1.OwnerReference{
		{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: cron.GetUID(), Controller: new(true)},
		{APIVersion: "example.com/v1", Kind: "Task", Name: "task", UID: "0", Controller: new(true)},
	} {
		made := decodeYAML(t, strings.NewReplacer("POLICY", "Never", "TAG", "1", "NS", ns, "migrate", "by-"+strings.ToLower(owner.Kind)).Replace(jobIn))
		made.SetOwnerReferences([]metav1.OwnerReference{owner})
		made.SetLabels(map[string]string{"applyset.kubernetes.io/part-of": target.runs.ID("shop")}) // as some controllers do
		if _, err := jobs.Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	list := workloadsOf(t, target, applier.WorkloadFilter{Namespace: ns})
	want := []string{
		ns + ":CronJob.batch/nightly", ns + ":DaemonSet.apps/agent", ns + ":Deployment.apps/web",
		ns + ":Job.batch/by-task", ns + ":Job.batch/migrate", ns + ":StatefulSet.apps/db",
	}
	if diff := cmp.Diff(want, refsOf(list)); diff != "" {
		t.Fatalf("workloads (-want +got):\n%s", diff)
	}
	for _, w := range list {
		if owner := map[bool]string{false: "shop", true: ""}[w.Ref.Name == "by-task"]; w.Owner != owner {
			t.Errorf("%s: owner %q, want %q", w.Ref, w.Owner, owner)
		}
	}
	web := list[2]
	web.Rollout.Phase = "" // told below, and by its controller's time
	if diff := cmp.Diff(applier.Workload{
		Ref:   applier.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: ns, Name: "web"},
		Owner: "shop",
		Containers: []applier.Container{
			{Name: "main", Image: "registry.example.com:5000/web@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
			{Name: "setup", Image: "setup:1", Init: true}, {Name: "sidecar", Image: "sidecar:1", Init: true},
		},
		ServiceAccount: "runner",
		PullSecrets:    []string{"of-the-pod", "shared", "of-the-account"},
		Annotations:    map[string]string{"sluice.dev/automated": "true", "deployment.kubernetes.io/revision": "1"},
	}, web, ignoreRevision); diff != "" {
		t.Errorf("web (-want +got):\n%s", diff)
	}
	if got := list[0]; got.ServiceAccount != "default" || got.Rollout != (applier.Rollout{Phase: applier.RolloutReady, Message: "suspended"}) {
		t.Errorf("CronJob: %+v", got)
	}

	mine := workloadsOf(t, target, applier.WorkloadFilter{Owner: "shop"})
	if diff := cmp.Diff(append(want[:3:3], want[4:]...), refsOf(mine)); diff != "" {
		t.Errorf("of the owner (-want +got):\n%s", diff)
	}
	for _, filter := range []applier.WorkloadFilter{{Owner: "nobody"}, {Namespace: "no-such"}, {Owner: "shop", Namespace: "default"}} {
		if list := workloadsOf(t, target, filter); len(list) > 0 {
			t.Errorf("%+v matches %v", filter, refsOf(list))
		}
	}
}

// ignoreRevision leaves out what the controller writes when it gets to it.
var ignoreRevision = cmp.FilterPath(func(p cmp.Path) bool {
	return strings.Contains(p.GoString(), `"deployment.kubernetes.io/revision"`)
}, cmp.Ignore())

// TestWorkloadRequests gates what a listing costs.
func TestWorkloadRequests(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	wide := realTarget(t, Config{Kubeconfig: kubeconfig})
	namespaces := []string{namespaceFor(t), namespaceFor(t)}
	applyOf(t, wide, applier.Set{Owner: "shop", Complete: true, Objects: itemsOf(t, apps(8, namespaces...))})
	limited := realTarget(t, Config{Kubeconfig: kubeconfig, Namespaces: namespaces[:1], InventoryNamespace: namespaces[0]})
	eventually(t, "the end of the rollouts", func() (bool, string) {
		list := workloadsOf(t, wide, applier.WorkloadFilter{Owner: "shop"})
		return !slices.ContainsFunc(list, func(w applier.Workload) bool { return w.Rollout.Phase != applier.RolloutReady }), fmt.Sprint(list)
	})
	for name, tt := range map[string]struct {
		target *target
		filter applier.WorkloadFilter
		most   int
	}{
		"everything":         {wide, applier.WorkloadFilter{}, 5 + 1 + 1}, // kinds, service accounts, owners
		"a namespace":        {wide, applier.WorkloadFilter{Namespace: namespaces[0]}, 5 + 1 + 1},
		"an owner":           {wide, applier.WorkloadFilter{Owner: "shop"}, 5 + len(namespaces)},
		"nothing there":      {wide, applier.WorkloadFilter{Namespace: "no-such"}, 5},
		"a namespace of one": {limited, applier.WorkloadFilter{}, 5 + 1 + 1},
		"outside":            {limited, applier.WorkloadFilter{Namespace: namespaces[1]}, 0},
	} {
		p.take()
		list := workloadsOf(t, tt.target, tt.filter)
		counts := p.take()
		t.Logf("%s: %d workloads, %v", name, len(list), counts)
		if name == "everything" {
			delete(counts, "pods") // of the rollouts of other tests
		}
		if total(counts) > tt.most {
			t.Errorf("%s: %v, want at most %d requests", name, counts, tt.most)
		}
		if slowly := counts["object"]; slowly > 0 {
			t.Errorf("%s: %d objects were read one by one", name, slowly)
		}
	}
}

// TestWorkloadsRefused: a kind that may not be listed takes nothing with it;
// everything refused is an error.
func TestWorkloadsRefused(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := namespaceFor(t)
	applyOf(t, target, setOf(t, "shop", ns, everyKind))
	refuse := func(resources ...string) {
		p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
			for _, resource := range resources {
				if path.Base(r.URL.Path) == resource || path.Base(path.Dir(r.URL.Path)) == resource {
					apiStatus(w, http.StatusForbidden, "Forbidden")
					return true
				}
			}
			return false
		})
	}
	refuse("deployments", "serviceaccounts")
	want := []string{ns + ":CronJob.batch/nightly", ns + ":DaemonSet.apps/agent", ns + ":Job.batch/migrate", ns + ":StatefulSet.apps/db"}
	if diff := cmp.Diff(want, refsOf(workloadsOf(t, target, applier.WorkloadFilter{Namespace: ns}))); diff != "" {
		t.Errorf("without deployments (-want +got):\n%s", diff)
	}
	refuse("deployments", "daemonsets", "statefulsets", "cronjobs", "jobs")
	err := target.Workloads(t.Context(), applier.WorkloadFilter{Namespace: ns}, func(w applier.Workload) { t.Errorf("emitted %s", w.Ref) })
	if err == nil || !strings.Contains(err.Error(), "may list none of what was asked for") {
		t.Errorf("everything refused: %v", err)
	}
	p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if path.Base(r.URL.Path) == "jobs" {
			apiStatus(w, http.StatusBadRequest, "BadRequest")
			return true
		}
		return false
	})
	if err := target.Workloads(t.Context(), applier.WorkloadFilter{Namespace: ns}, func(w applier.Workload) { t.Errorf("emitted %s", w.Ref) }); err == nil {
		t.Error("half a list passes for a whole one")
	}
}

// TestWorkloadRollout follows rollouts that the cluster's controllers carry
// out, from the first pod to one that never gets ready.
func TestWorkloadRollout(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	manifest := strings.NewReplacer("replicas: 0", "replicas: 2", "nodeSelector: {no: such-node}, ", "").Replace(everyKind)
	applyOf(t, target, setOf(t, "shop", ns, manifest))
	phases := map[string][]applier.Phase{}
	follow := func(t *testing.T, what string, done func(map[string]applier.Rollout) bool) {
		t.Helper()
		eventually(t, what, func() (bool, string) {
			now := map[string]applier.Rollout{}
			for _, w := range workloadsOf(t, target, applier.WorkloadFilter{Namespace: ns}) {
				now[w.Ref.Name] = w.Rollout
				if seen := phases[w.Ref.Name]; len(seen) == 0 || seen[len(seen)-1] != w.Rollout.Phase {
					phases[w.Ref.Name] = append(seen, w.Rollout.Phase)
				}
			}
			return done(now), fmt.Sprintf("%+v", now)
		})
	}
	ready := applier.Rollout{Phase: applier.RolloutReady, Desired: 2, Updated: 2, Ready: 2, Available: 2}
	follow(t, "the first rollouts", func(now map[string]applier.Rollout) bool {
		return now["web"] == ready && now["db"] == ready && now["agent"].Phase == applier.RolloutReady && now["agent"].Available > 0
	})

	deployments := target.client.Dynamic.Resource(gvr("apps", "v1", "deployments")).Namespace(ns)
	patch := func(body string) {
		t.Helper()
		if _, err := deployments.Patch(t.Context(), "web", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"spec":{"paused":true,"template":{"metadata":{"annotations":{"of":"somebody else"}}}}}`)
	follow(t, "the pause", func(now map[string]applier.Rollout) bool {
		web := now["web"]
		return web.Phase == applier.RolloutUpdating && web.Message == "the rollout is paused with 0 of 2 replicas updated" && web.Outdated == 2
	})
	patch(`{"spec":{"paused":false}}`)

	stuck := strings.NewReplacer(
		"serviceAccountName: runner", "serviceAccountName: runner\n      nodeSelector: {no: such-node}",
		"  replicas: 2\n  selector: {matchLabels: {app: web}}", "  replicas: 2\n  progressDeadlineSeconds: 1\n  selector: {matchLabels: {app: web}}",
		"db:1", "db:2", "serviceName: db", "serviceName: db\n  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}",
		"agent:1", "agent:2",
	).Replace(manifest)
	applyOf(t, target, setOf(t, "shop", ns, stuck))
	follow(t, "the second rollouts", func(now map[string]applier.Rollout) bool {
		db := applier.Rollout{Phase: applier.RolloutReady, Desired: 1, Updated: 1, Ready: 2, Available: 2}
		web := now["web"]
		return now["db"] == db && now["agent"].Phase == applier.RolloutReady &&
			web.Phase == applier.RolloutFailed && strings.HasPrefix(web.Message, "ProgressDeadlineExceeded: ") && web.Updated == 1 && web.Outdated == 2
	})
	for _, name := range []string{"web", "db", "agent"} {
		if !strings.Contains(fmt.Sprint(phases[name]), string(applier.RolloutUpdating)) {
			t.Errorf("%s was never seen updating: %v", name, phases[name])
		}
	}
}

// eventually asks again and again whether something has come about.
func eventually(t *testing.T, what string, look func() (done bool, now string)) {
	t.Helper()
	limit, again := time.After(2*time.Minute), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		done, now := look()
		if done {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("waited in vain for %s; now: %s", what, now)
		}
	}
}
