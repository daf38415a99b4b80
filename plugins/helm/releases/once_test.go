package releases

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

const migration = configMapTemplate + `---
apiVersion: batch/v1
kind: Job
metadata: {name: migrate}
spec:
  ttlSecondsAfterFinished: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "example.com/migrate:1"}]}
`

// TestJobsRunOnce: a Job that is done and gone is not run again because it is
// missing; other objects that are missing are put back.
func TestJobsRunOnce(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": migration})
	jobs := m.api(t).BatchV1().Jobs(ns)
	w, err := jobs.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	var ran []string
	for e := range w.ResultChan() {
		if job, ok := e.Object.(*batchv1.Job); ok && e.Type == watch.Deleted {
			ran = append(ran, fmt.Sprintf("%s, %d succeeded", job.Name, job.Status.Succeeded))
			break
		}
	}
	if diff := cmp.Diff([]string{"migrate, 1 succeeded"}, ran); diff != "" {
		t.Fatal(diff)
	}
	if err := m.api(t).CoreV1().ConfigMaps(ns).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][]string{{"create ConfigMap"}, nil} {
		var got []string
		if err := m.Compare(ctx, helm.Comparison{Ref: r.Ref, Correct: true, Fresh: true}, func(c helm.Change) { got = append(got, c.Action+" "+c.Kind+c.Problem) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if list, err := jobs.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("jobs: %v, %v", list.Items, err)
	}
}

func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		version, kind, policy string
		want                  bool
	}{
		{"batch/v1", "Job", "", true},
		{"batch/v1", "CronJob", "", false},
		{"example.com/v1", "Job", "", false},
		{"v1", "Pod", "Never", true},
		{"v1", "Pod", "OnFailure", true},
		{"v1", "Pod", "Always", false},
		{"v1", "Pod", "", false},
	} {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": tt.version, "kind": tt.kind, "spec": map[string]any{"restartPolicy": tt.policy}}}
		if got := once(u); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
