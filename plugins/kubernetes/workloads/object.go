package workloads

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// object is what is decoded of a workload of any kind.
type object struct {
	Metadata metadata `json:"metadata"`
	Spec     spec     `json:"spec"`
	Status   status   `json:"status"`
}

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Generation  int64             `json:"generation"`
	Annotations map[string]string `json:"annotations"`
	Labels      struct {
		Member string `json:"applyset.kubernetes.io/part-of"` // live.MemberLabel
	} `json:"labels"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
}

type spec struct {
	Replicas       *int                  `json:"replicas"`
	Paused         bool                  `json:"paused"`
	Suspend        bool                  `json:"suspend"`
	Selector       *metav1.LabelSelector `json:"selector"`
	UpdateStrategy struct {
		Type          string `json:"type"`
		RollingUpdate struct {
			Partition int `json:"partition"`
		} `json:"rollingUpdate"`
	} `json:"updateStrategy"`
	Template    template `json:"template"`
	JobTemplate struct {
		Spec struct {
			Template template `json:"template"`
		} `json:"spec"`
	} `json:"jobTemplate"`
}

// template is a pod template.
type template struct {
	Spec struct {
		ServiceAccountName string      `json:"serviceAccountName"`
		ImagePullSecrets   []reference `json:"imagePullSecrets"`
		Containers         []container `json:"containers"`
		InitContainers     []container `json:"initContainers"`
	} `json:"spec"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// lastApplied is kubectl's copy of the whole object, environment and all.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// workload returns what there is to tell of o; ok is false for an object that
// is part of another workload.
func (o *object) workload(k kind) (f found, ok bool) {
	member, ok := membership(o.Metadata.OwnerReferences, o.Metadata.Labels.Member)
	if !ok {
		return found{}, false
	}
	delete(o.Metadata.Annotations, lastApplied)
	pods := o.Spec.Template
	if k.name == "CronJob" {
		pods = o.Spec.JobTemplate.Spec.Template
	}
	f = found{member: member, Workload: applier.Workload{
		Ref:            applier.Ref{Group: k.group, Version: "v1", Kind: k.name, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name},
		ServiceAccount: cmp.Or(pods.Spec.ServiceAccountName, "default"),
		PullSecrets:    names(pods.Spec.ImagePullSecrets),
		Annotations:    o.Metadata.Annotations,
		Rollout:        k.rollout(o),
	}}
	for _, c := range pods.Spec.Containers {
		f.Containers = append(f.Containers, applier.Container{Name: c.Name, Image: c.Image})
	}
	for _, c := range pods.Spec.InitContainers { // native sidecars among them
		f.Containers = append(f.Containers, applier.Container{Name: c.Name, Image: c.Image, Init: true})
	}
	if f.Rollout.Phase == applier.RolloutUpdating && o.waits() {
		updated := o.Status.UpdatedReplicas + o.Status.UpdatedNumberScheduled
		f.pods, _ = health.NewRollout(k.name, o.Spec.Selector, updated, o.Status.UpdateRevision)
	}
	return f, true
}

// waits tells whether a rollout that is not over may be waiting for its pods.
func (o *object) waits() bool {
	return !o.Spec.Paused && (o.Status.Active == 0 || o.Status.Ready < o.Status.Active)
}

// membership returns the ApplySet of an object by its label and its
// references to owners; ok is false for a part of another workload.
func membership(owners []metav1.OwnerReference, label string) (member string, ok bool) {
	for _, owner := range owners {
		if owner.Controller == nil || !*owner.Controller {
			continue
		}
		if slices.Contains(makers, owner.APIVersion+" "+owner.Kind) {
			return "", false
		}
		label = "" // a copy of its controller's
	}
	return label, true
}

// makers are the controllers whose objects are part of them.
var makers = []string{"apps/v1 Deployment", "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 CronJob", "batch/v1 Job"}
