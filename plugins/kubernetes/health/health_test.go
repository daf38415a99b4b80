package health

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOf(t *testing.T) {
	const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, generation: 2}\nspec: {replicas: 2}\n"
	const stateful = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, generation: 1}\n"
	tests := []struct {
		name, object string
		want         applier.Health
		message      string // a part of it
	}{
		{"config map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}", applier.Current, ""},
		{"deleting", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, deletionTimestamp: \"2026-01-01T00:00:00Z\", finalizers: [x/y]}", applier.Terminating, "x/y"},
		{"deployment unseen", deployment, applier.InProgress, "not seen"},
		{"deployment behind", deployment + "status: {observedGeneration: 1}", applier.InProgress, "not seen"},
		{"deployment updating", deployment + "status: {observedGeneration: 2, updatedReplicas: 1, replicas: 2, availableReplicas: 2}", applier.InProgress, "1 of 2 replicas updated"},
		{"deployment old ones", deployment + "status: {observedGeneration: 2, updatedReplicas: 2, replicas: 3, availableReplicas: 2}", applier.InProgress, "1 old"},
		{"deployment unavailable", deployment + "status: {observedGeneration: 2, updatedReplicas: 2, replicas: 2, availableReplicas: 1}", applier.InProgress, "1 of 2 replicas available"},
		{"deployment done", deployment + "status: {observedGeneration: 2, updatedReplicas: 2, replicas: 2, availableReplicas: 2}", applier.Current, ""},
		{"deployment deadline", deployment + "status: {observedGeneration: 2, conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: too slow}]}", applier.Stalled, "too slow"},
		{"deployment without quota", deployment + "status: {observedGeneration: 2, conditions: [{type: ReplicaFailure, status: 'True', reason: FailedCreate, message: exceeded quota}]}", applier.Stalled, "FailedCreate: exceeded quota"},
		{"deployment at zero", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {generation: 1}\nspec: {replicas: 0}\nstatus: {observedGeneration: 1}", applier.Current, ""},
		{"deployment paused", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 2, paused: true}\nstatus: {observedGeneration: 2}", applier.InProgress, "0 of 2"},
		{"stateful set on delete", stateful + "spec: {updateStrategy: {type: OnDelete}}\nstatus: {observedGeneration: 1}", applier.Current, ""},
		{"stateful set rolling", stateful + "spec: {replicas: 3}\nstatus: {observedGeneration: 1, readyReplicas: 3, updatedReplicas: 1, currentRevision: a, updateRevision: b}", applier.InProgress, "1 of 3 replicas updated"},
		{"stateful set partition", stateful + "spec: {replicas: 3, updateStrategy: {rollingUpdate: {partition: 2}}}\nstatus: {observedGeneration: 1, readyReplicas: 3, updatedReplicas: 1, currentRevision: a, updateRevision: b}", applier.Current, ""},
		{"daemon set", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {generation: 1}\nstatus: {observedGeneration: 1, desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2}", applier.InProgress, "2 of 3"},
		{"job running", "apiVersion: batch/v1\nkind: Job\nstatus: {active: 1}", applier.InProgress, "1 pods active"},
		{"job done", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Complete, status: 'True'}]}", applier.Current, ""},
		{"job failed", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded}]}", applier.Stalled, "BackoffLimitExceeded"},
		{"pod failed", "apiVersion: v1\nkind: Pod\nstatus: {phase: Failed, reason: Evicted}", applier.Stalled, "Evicted"},
		{"pod crash loop", "apiVersion: v1\nkind: Pod\nstatus: {phase: Running, containerStatuses: [{name: c, state: {waiting: {reason: CrashLoopBackOff}}}]}", applier.Stalled, "container c: CrashLoopBackOff"},
		{"pod init image", "apiVersion: v1\nkind: Pod\nstatus: {phase: Pending, initContainerStatuses: [{name: i, state: {waiting: {reason: ImagePullBackOff, message: nope}}}]}", applier.Stalled, "container i: ImagePullBackOff: nope"},
		{"pod pulling", "apiVersion: v1\nkind: Pod\nstatus: {phase: Pending, containerStatuses: [{name: c, state: {waiting: {reason: ErrImagePull}}}]}", applier.InProgress, ""},
		{"pod unschedulable", "apiVersion: v1\nkind: Pod\nstatus: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no node}]}", applier.InProgress, "no node"},
		{"claim pending", "apiVersion: v1\nkind: PersistentVolumeClaim\nstatus: {phase: Pending}", applier.InProgress, ""},
		{"claim lost", "apiVersion: v1\nkind: PersistentVolumeClaim\nstatus: {phase: Lost}", applier.Stalled, ""},
		{"definition clash", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nstatus: {conditions: [{type: NamesAccepted, status: 'False', message: clash}]}", applier.Stalled, "clash"},
		{"definition served", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nstatus: {conditions: [{type: NamesAccepted, status: 'True'}, {type: Established, status: 'True'}]}", applier.Current, ""},
		{"custom, silent", "apiVersion: example.com/v1\nkind: Widget", applier.Current, ""},
		{"custom, not ready", "apiVersion: example.com/v1\nkind: Widget\nstatus: {conditions: [{type: Ready, status: 'False', message: soon}]}", applier.InProgress, "soon"},
		{"custom, stalled", "apiVersion: example.com/v1\nkind: Widget\nstatus: {conditions: [{type: Stalled, status: 'True', message: never}]}", applier.Stalled, "never"},
		{"custom, behind", "apiVersion: example.com/v1\nkind: Widget\nmetadata: {generation: 3}\nstatus: {observedGeneration: 2, conditions: [{type: Ready, status: 'True'}]}", applier.InProgress, ""},
		{"Argo Rollout without a controller", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {generation: 1}", applier.Current, ""},
		{"Argo Rollout behind, in quotes", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {generation: 3}\nstatus: {observedGeneration: \"2\", phase: Healthy}", applier.InProgress, "not seen the change"},
		{"Argo Rollout done, in quotes", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {generation: 3}\nstatus: {observedGeneration: \"3\", phase: Healthy}", applier.Current, ""},
		{"Argo Rollout of before, by a hash", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {generation: 3}\nstatus: {observedGeneration: 5fc9d, phase: Degraded, message: bad}", applier.Stalled, "bad"},
		{"Argo Rollout paused", "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nstatus: {phase: Paused, message: CanaryPauseStep}", applier.InProgress, "paused: CanaryPauseStep"},
		{"HelmRelease without a controller", "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease", applier.Current, ""},
		{"HelmRelease", "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nstatus: {phase: Succeeded}", applier.Current, ""},
		{"HelmRelease of the first version", "apiVersion: flux.weave.works/v1beta1\nkind: HelmRelease\nstatus: {phase: DeployFailed}", applier.Stalled, "DeployFailed"},
		{"FluxHelmRelease", "apiVersion: helm.integrations.flux.weave.works/v1alpha2\nkind: FluxHelmRelease\nstatus: {phase: Installing}", applier.InProgress, "Installing"},
		{"HelmRelease upgrading", "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nstatus: {phase: Upgrading}", applier.InProgress, "Upgrading"},
		{"HelmRelease failed", "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nstatus: {phase: Failed, conditions: [{type: Released, status: 'False', reason: Failed, message: no such chart}]}", applier.Stalled, "no such chart"},
		{"malformed", "apiVersion: apps/v1\nkind: Deployment\nspec: nonsense\nstatus: [1]", applier.InProgress, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Of(parse(t, tt.object))
			if got.Health != tt.want || !strings.Contains(got.Message, tt.message) {
				t.Errorf("got %s (%s), want %s (%s)", got.Health, got.Message, tt.want, tt.message)
			}
		})
	}
}

func TestRolloutFailure(t *testing.T) {
	now := time.Now()
	pod := func(age time.Duration, hash, failure string) Pod {
		return Pod{Name: hash, Created: now.Add(-age), Failure: failure, Labels: labels.Set{"app": "web", templateLabel: hash}}
	}
	workload := func(updated string) Rollout {
		r, ok := RolloutOf(parse(t, "kind: Deployment\nspec: {selector: {matchLabels: {app: web}}}\nstatus: {updatedReplicas: "+updated+"}"))
		if !ok {
			t.Fatal("a Deployment is no workload")
		}
		return r
	}
	for _, tt := range []struct {
		name, updated string
		pods          []Pod
		want          string
	}{
		{"none", "0", nil, ""},
		{"new one fails", "1", []Pod{pod(time.Hour, "old", ""), pod(0, "new", "bad image")}, "pod new: bad image"},
		{"old one fails, new one is on its way", "1", []Pod{pod(time.Hour, "old", "bad image"), pod(0, "new", "")}, ""},
		{"only old ones yet", "0", []Pod{pod(time.Hour, "old", "bad image")}, ""},
	} {
		if got := workload(tt.updated).Failure(tt.pods); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	foreign := pod(0, "x", "bad")
	foreign.Labels["app"] = "other"
	if got := workload("1").Failure([]Pod{foreign}); got != "" {
		t.Errorf("another workload's pod: %q", got)
	}
}

func TestPodWaits(t *testing.T) {
	p := PodOf(parse(t, "kind: Pod\nmetadata: {name: web-1, labels: {app: web}}\nstatus: {conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/3 nodes are available}]}"))
	r, _ := RolloutOf(parse(t, "kind: ReplicaSet\nspec: {selector: {matchLabels: {app: web}}}"))
	if got, want := r.Waiting([]Pod{p}), "pod web-1: not scheduled: Unschedulable: 0/3 nodes are available"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := r.Failure([]Pod{p}); got != "" {
		t.Errorf("a pod that waits counts as failed: %q", got)
	}
}
