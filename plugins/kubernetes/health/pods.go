package health

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// Pod is what a workload's health depends on.
type Pod struct {
	Name    string
	Labels  labels.Set
	Created time.Time
	Failure string // why it cannot run; empty: nothing says so
	Waiting string // what it waits for, which may yet come; empty: nothing
}

// PodOf reads a pod.
func PodOf(u *unstructured.Unstructured) Pod {
	o := object{u.Object}
	p := Pod{Name: u.GetName(), Labels: u.GetLabels(), Created: u.GetCreationTimestamp().Time, Failure: startFailure(o)}
	if c := o.condition("PodScheduled"); c.is("False") {
		p.Waiting = "not scheduled: " + c.text()
	}
	return p
}

// dead are the reasons for which a waiting container will not start unless
// something changes.
var dead = []string{
	"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CrashLoopBackOff",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

func startFailure(pod object) string {
	for _, field := range []string{"initContainerStatuses", "containerStatuses"} {
		for _, c := range pod.list("status", field) {
			reason := c.string("state", "waiting", "reason")
			if !slices.Contains(dead, reason) {
				continue
			}
			why := fmt.Sprintf("container %s: %s", c.string("name"), reason)
			if m := c.string("state", "waiting", "message"); m != "" {
				why += ": " + m
			}
			return why
		}
	}
	return ""
}

// Rollout is what tells a workload's own pods of its newest template from all
// others. The zero value matches none.
type Rollout struct {
	selector labels.Selector
	revision string // value of revisionLabel, where it is known
	newest   bool   // else: of the newest pod
	started  bool   // there are pods of the newest template
}

const (
	templateLabel = "pod-template-hash"
	revisionLabel = "controller-revision-hash"
)

// RolloutOf reads a workload; ok is false if the object is none.
func RolloutOf(u *unstructured.Unstructured) (r Rollout, ok bool) {
	o := object{u.Object}
	raw, _, _ := unstructured.NestedMap(u.Object, "spec", "selector")
	var selector metav1.LabelSelector
	if len(raw) == 0 || runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &selector) != nil {
		return Rollout{}, false
	}
	updated := o.int("status", "updatedReplicas") + o.int("status", "updatedNumberScheduled")
	return NewRollout(u.GetKind(), &selector, int(updated), o.string("status", "updateRevision"))
}

// NewRollout takes what a workload of kind tells: its selector, how many pods
// there are of its newest template, and the revision of that, for a
// StatefulSet. ok is false for a kind that has no pods of its own.
func NewRollout(kind string, selector *metav1.LabelSelector, updated int, revision string) (r Rollout, ok bool) {
	switch kind {
	case "Deployment", "DaemonSet":
		r = Rollout{newest: true, started: updated > 0}
	case "StatefulSet":
		r = Rollout{revision: revision, started: true}
	case "ReplicaSet", "Job":
		r = Rollout{started: true}
	default:
		return Rollout{}, false
	}
	if selector == nil || len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		return Rollout{}, false
	}
	var err error
	r.selector, err = metav1.LabelSelectorAsSelector(selector)
	return r, err == nil
}

// Selector is what the pods are found by; "" for none.
func (r Rollout) Selector() string {
	if r.selector == nil {
		return ""
	}
	return r.selector.String()
}

// Failure returns why the rollout cannot succeed, judged by pods of the
// workload's namespace, or "".
func (r Rollout) Failure(pods []Pod) string {
	return r.first(pods, func(p Pod) string { return p.Failure })
}

// Waiting returns what the rollout waits for, judged likewise, or "".
func (r Rollout) Waiting(pods []Pod) string {
	return r.first(pods, func(p Pod) string { return p.Waiting })
}

// first returns what the first pod of the newest template has to say.
func (r Rollout) first(pods []Pod, says func(Pod) string) string {
	if r.selector == nil || !r.started {
		return ""
	}
	mine := slices.DeleteFunc(slices.Clone(pods), func(p Pod) bool { return !r.selector.Matches(p.Labels) })
	if len(mine) == 0 {
		return ""
	}
	revision := r.revision
	if r.newest {
		revision = revisionOf(slices.MaxFunc(mine, func(a, b Pod) int { return a.Created.Compare(b.Created) }))
	}
	for _, p := range mine {
		if what := says(p); what != "" && (revision == "" || revisionOf(p) == revision) {
			return fmt.Sprintf("pod %s: %s", p.Name, what)
		}
	}
	return ""
}

func revisionOf(p Pod) string { return firstOf(p.Labels[templateLabel], p.Labels[revisionLabel]) }
