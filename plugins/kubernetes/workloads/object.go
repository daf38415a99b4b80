package workloads

import (
	"cmp"
	"slices"

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
	OwnerReferences []struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Controller bool   `json:"controller"`
	} `json:"ownerReferences"`
}

type spec struct {
	Replicas       *int `json:"replicas"`
	Paused         bool `json:"paused"`
	Suspend        bool `json:"suspend"`
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
	for _, owner := range o.Metadata.OwnerReferences {
		if owner.Controller && slices.Contains(makers, owner.APIVersion+" "+owner.Kind) {
			return found{}, false
		}
		if owner.Controller {
			o.Metadata.Labels.Member = "" // a copy of its controller's
		}
	}
	delete(o.Metadata.Annotations, lastApplied)
	pods := o.Spec.Template
	if k.name == "CronJob" {
		pods = o.Spec.JobTemplate.Spec.Template
	}
	f = found{member: o.Metadata.Labels.Member, Workload: applier.Workload{
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
	return f, true
}

// makers are the controllers whose objects are part of them.
var makers = []string{"apps/v1 Deployment", "apps/v1 ReplicaSet", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "batch/v1 CronJob", "batch/v1 Job"}
