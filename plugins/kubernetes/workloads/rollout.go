package workloads

import (
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// status is what is decoded of the status of any kind.
type status struct {
	ObservedGeneration int64       `json:"observedGeneration"`
	Conditions         []condition `json:"conditions"`

	Replicas          int `json:"replicas"`
	UpdatedReplicas   int `json:"updatedReplicas"`
	ReadyReplicas     int `json:"readyReplicas"`
	AvailableReplicas int `json:"availableReplicas"`

	DesiredNumberScheduled int `json:"desiredNumberScheduled"`
	CurrentNumberScheduled int `json:"currentNumberScheduled"`
	UpdatedNumberScheduled int `json:"updatedNumberScheduled"`
	NumberReady            int `json:"numberReady"`
	NumberAvailable        int `json:"numberAvailable"`

	UpdateRevision string `json:"updateRevision"`

	StartTime string `json:"startTime"`
	Active    int    `json:"active"`
	Ready     int    `json:"ready"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
}

type condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// is tells whether o has a condition of that type and status.
func (o *object) is(kind, state string) (condition, bool) {
	for _, c := range o.Status.Conditions {
		if c.Type == kind && c.Status == state {
			return c, true
		}
	}
	return condition{}, false
}

func (c condition) text() string {
	if c.Reason == "" || c.Message == "" {
		return c.Reason + c.Message
	}
	return c.Reason + ": " + c.Message
}

func (o *object) replicas() int {
	if o.Spec.Replicas == nil {
		return 1
	}
	return *o.Spec.Replicas
}

// phase is that of a rollout which is done or not.
func (o *object) phase(done bool) applier.Phase {
	switch {
	case o.Status.ObservedGeneration < o.Metadata.Generation:
		return applier.RolloutStarted
	case done:
		return applier.RolloutReady
	}
	return applier.RolloutUpdating
}

func deployment(o *object) applier.Rollout {
	s := o.Status
	r := applier.Rollout{
		Desired: o.replicas(), Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas, Available: s.AvailableReplicas,
		Outdated: max(0, s.Replicas-s.UpdatedReplicas),
	}
	r.Phase = o.phase(r.Updated == r.Desired && r.Available == r.Desired && r.Outdated == 0)
	if o.Spec.Paused && r.Phase != applier.RolloutReady {
		r.Message = fmt.Sprintf("the rollout is paused with %d of %d replicas updated", r.Updated, r.Desired)
	}
	if r.Phase == applier.RolloutStarted {
		return r // conditions are about what was before
	}
	for _, bad := range []condition{{Type: "Progressing", Status: "False"}, {Type: "ReplicaFailure", Status: "True"}} {
		if c, is := o.is(bad.Type, bad.Status); is {
			r.Phase, r.Message = applier.RolloutFailed, c.text()
			break
		}
	}
	return r
}

// statefulSet leaves the replicas below the partition out of those that are
// desired and outdated: they stay as they are on purpose.
func statefulSet(o *object) applier.Rollout {
	s, all := o.Status, o.replicas()
	partition := min(all, max(0, o.Spec.UpdateStrategy.RollingUpdate.Partition))
	r := applier.Rollout{
		Desired: all - partition, Updated: s.UpdatedReplicas, Ready: s.ReadyReplicas, Available: s.AvailableReplicas,
		Outdated: max(0, s.Replicas-s.UpdatedReplicas-partition),
	}
	r.Phase = o.phase(r.Updated >= r.Desired && r.Outdated == 0 && s.Replicas == all && r.Ready == all && r.Available == all)
	r.Message = o.byHand(r)
	return r
}

func daemonSet(o *object) applier.Rollout {
	s := o.Status
	r := applier.Rollout{
		Desired: s.DesiredNumberScheduled, Updated: s.UpdatedNumberScheduled, Ready: s.NumberReady, Available: s.NumberAvailable,
		Outdated: max(0, s.CurrentNumberScheduled-s.UpdatedNumberScheduled),
	}
	r.Phase = o.phase(r.Updated == r.Desired && r.Available == r.Desired && r.Outdated == 0)
	r.Message = o.byHand(r)
	return r
}

// byHand tells what a rollout waits for that nobody but a person goes on with.
func (o *object) byHand(r applier.Rollout) string {
	if o.Spec.UpdateStrategy.Type != "OnDelete" || r.Phase != applier.RolloutUpdating || r.Outdated == 0 {
		return ""
	}
	return fmt.Sprintf("update strategy OnDelete: %d old pods are replaced when somebody deletes them", r.Outdated)
}

func cronJob(o *object) applier.Rollout {
	r := applier.Rollout{Phase: applier.RolloutReady}
	if o.Spec.Suspend {
		r.Message = "suspended"
	}
	return r
}

// job tells no replicas: its pods run to their end and are not replaced.
func job(o *object) applier.Rollout {
	if c, failed := o.is("Failed", "True"); failed {
		return applier.Rollout{Phase: applier.RolloutFailed, Message: c.text()}
	}
	_, complete := o.is("Complete", "True")
	switch {
	case complete:
		return applier.Rollout{Phase: applier.RolloutReady}
	case o.Spec.Suspend:
		return applier.Rollout{Phase: applier.RolloutReady, Message: "suspended"}
	case o.Status.StartTime == "":
		return applier.Rollout{Phase: applier.RolloutStarted}
	}
	return applier.Rollout{Phase: applier.RolloutUpdating, Message: fmt.Sprintf("running: %d pods active, %d succeeded, %d failed", o.Status.Active, o.Status.Succeeded, o.Status.Failed)}
}
