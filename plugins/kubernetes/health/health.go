// Package health tells from an object alone how it fares. The rules are those
// of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus), with some of its holes
// closed: a running Job is not done, a failed Pod has failed, a controller
// that cannot make its pods is stuck, and a pod that cannot start says why.
//
// All functions are pure. Objects are read as the API server sends them; a
// field that is missing or of a wrong type counts as not there yet.
package health

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Status is an object's health and the reason for it, for a person.
type Status struct {
	Health  applier.Health
	Message string
	Unseen  bool // by its controller: what it says is about what was before
}

// rules are per kind; every other kind is judged by its conditions.
var rules = map[schema.GroupKind]func(object) Status{
	{Group: "apps", Kind: "Deployment"}:                               deployment,
	{Group: "apps", Kind: "StatefulSet"}:                              statefulSet,
	{Group: "apps", Kind: "DaemonSet"}:                                daemonSet,
	{Group: "apps", Kind: "ReplicaSet"}:                               replicaSet,
	{Group: "batch", Kind: "Job"}:                                     job,
	{Kind: "Pod"}:                                                     pod,
	{Kind: "PersistentVolumeClaim"}:                                   claim,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: definition,
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:             apiService,
	{Group: "argoproj.io", Kind: "Rollout"}:                           argoRollout,
	{Group: "helm.fluxcd.io", Kind: "HelmRelease"}:                    helmRelease,
	{Group: "flux.weave.works", Kind: "HelmRelease"}:                  helmRelease,

	{Group: "helm.integrations.flux.weave.works", Kind: "FluxHelmRelease"}: helmRelease,
}

// passive are API groups of Kubernetes itself: their kinds are well as soon as
// they exist, unless they have a rule.
var passive = map[string]bool{
	"": true, "apps": true, "batch": true, "autoscaling": true, "policy": true, "events.k8s.io": true,
	"networking.k8s.io": true, "rbac.authorization.k8s.io": true, "scheduling.k8s.io": true, "storage.k8s.io": true,
	"admissionregistration.k8s.io": true, "coordination.k8s.io": true, "discovery.k8s.io": true, "node.k8s.io": true,
	"certificates.k8s.io": true, "flowcontrol.apiserver.k8s.io": true, "authentication.k8s.io": true, "authorization.k8s.io": true,
}

// Passive tells whether objects of the kind are well as soon as they exist, so
// that their metadata is enough.
func Passive(gk schema.GroupKind) bool { return rules[gk] == nil && passive[gk.Group] }

// Of returns the health of an object.
func Of(u *unstructured.Unstructured) Status {
	o := object{u.Object}
	gk := u.GroupVersionKind().GroupKind()
	switch {
	case u.GetDeletionTimestamp() != nil:
		return terminating(u.GetFinalizers())
	case Passive(gk):
		return current("")
	case o.behind():
		return Status{Health: applier.InProgress, Message: "its controller has not seen the change yet", Unseen: true}
	}
	if c := o.condition("Stalled"); c.is("True") {
		return stalled(c.text())
	}
	if c := o.condition("Reconciling"); c.is("True") {
		return progress(c.text())
	}
	if rule := rules[gk]; rule != nil {
		return rule(o)
	}
	return conditions(o)
}

// OfMeta returns the health of an object of a passive kind.
func OfMeta(m metav1.Object) Status {
	if m.GetDeletionTimestamp() != nil {
		return terminating(m.GetFinalizers())
	}
	return current("")
}

func terminating(finalizers []string) Status {
	message := "it is being deleted"
	if len(finalizers) > 0 {
		message += fmt.Sprintf(", and waits for its finalizers %v", finalizers)
	}
	return Status{Health: applier.Terminating, Message: message}
}

func current(message string) Status  { return Status{Health: applier.Current, Message: message} }
func progress(message string) Status { return Status{Health: applier.InProgress, Message: message} }
func stalled(message string) Status  { return Status{Health: applier.Stalled, Message: message} }

func progressf(format string, args ...any) Status { return progress(fmt.Sprintf(format, args...)) }

// conditions judges a kind without a rule by its Ready condition.
func conditions(o object) Status {
	switch c := o.condition("Ready"); {
	case c == nil, c.is("True"):
		return current("")
	default:
		return progress(c.text())
	}
}
