package apply

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Ranks in the order of their application; deletion goes the other way. Within a namespace, and among the
// cluster-scoped objects, a rank waits for the ones below it, except for
// Foundations: those are waited for only by what stands on them.
const (
	Foundations = iota // namespaces and definitions of kinds
	settings           // what workloads refer to
	bindings
	workloads // and everything else
	hooks     // what the API server will call: they wait for everything
)

// ranks lists the kinds that are not workloads.
var ranks = map[string]int{
	"Namespace": Foundations,
	"CustomResourceDefinition.apiextensions.k8s.io": Foundations,

	"ServiceAccount":                               settings,
	"Role.rbac.authorization.k8s.io":               settings,
	"ClusterRole.rbac.authorization.k8s.io":        settings,
	"ConfigMap":                                    settings,
	"Secret":                                       settings,
	"Service":                                      settings,
	"PersistentVolume":                             settings,
	"PersistentVolumeClaim":                        settings,
	"ResourceQuota":                                settings,
	"LimitRange":                                   settings,
	"NetworkPolicy.networking.k8s.io":              settings,
	"PodDisruptionBudget.policy":                   settings,
	"CSIDriver.storage.k8s.io":                     settings,
	"RoleBinding.rbac.authorization.k8s.io":        bindings,
	"ClusterRoleBinding.rbac.authorization.k8s.io": bindings,

	"APIService.apiregistration.k8s.io":                             hooks,
	"MutatingWebhookConfiguration.admissionregistration.k8s.io":     hooks,
	"ValidatingWebhookConfiguration.admissionregistration.k8s.io":   hooks,
	"MutatingAdmissionPolicyBinding.admissionregistration.k8s.io":   hooks,
	"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": hooks,
}

// Rank returns when an object of the kind is applied; deletion goes the other
// way. Classes (StorageClass, PriorityClass, ...) are settings.
func Rank(ref applier.Ref) int {
	gk := schema.GroupKind{Group: ref.Group, Kind: ref.Kind}.String()
	if rank, ok := ranks[gk]; ok {
		return rank
	}
	if strings.HasSuffix(ref.Kind, "Class") && ref.Namespace == "" {
		return settings
	}
	return workloads
}

// task is one object to apply, or (without a step) a barrier: the moment at
// which everything of a rank and a namespace is done.
type task struct {
	step   *plan.Step
	fresh  bool // its kind is defined by a task before it
	blocks []edge
	waits  int
	cause  string // why it did not work, once it is known
	lacks  string // why something that it needs did not work
}

// edge leads to a task that waits. If it needs the other, it fails with it.
type edge struct {
	to    *task
	needs bool
}

func (t *task) before(later *task, needs bool) {
	t.blocks = append(t.blocks, edge{later, needs})
	later.waits++
}

type place struct {
	namespace string
	rank      int
}

// order makes tasks of the steps that change something.
func order(steps []*plan.Step) []*task {
	o := ordering{barriers: map[place]*task{}, namespaces: map[string]*task{}, definitions: map[schema.GroupKind]*task{}}
	for _, s := range steps {
		o.add(s)
	}
	for _, t := range o.objects {
		o.connect(t)
	}
	return o.all
}

type ordering struct {
	all, objects []*task
	barriers     map[place]*task
	namespaces   map[string]*task
	definitions  map[schema.GroupKind]*task
}

func (o *ordering) add(s *plan.Step) {
	t := &task{step: s}
	o.all, o.objects = append(o.all, t), append(o.objects, t)
	switch {
	case s.Ref.Group == "" && s.Ref.Kind == "Namespace":
		o.namespaces[s.Ref.Name] = t
	case s.Object.Defines != nil:
		o.definitions[*s.Object.Defines] = t
	}
}

// barrier returns the end of a rank in a namespace, which comes after the ends
// of the ranks below it.
func (o *ordering) barrier(p place) *task {
	if b := o.barriers[p]; b != nil {
		return b
	}
	b := &task{}
	o.barriers[p] = b
	o.all = append(o.all, b)
	if p.rank > settings {
		o.barrier(place{p.namespace, p.rank - 1}).before(b, false)
	}
	if p.namespace != "" { // the last barrier of all is that of the hooks
		b.before(o.barrier(place{"", hooks}), false)
	}
	return b
}

func (o *ordering) connect(t *task) {
	ref := t.step.Ref
	if namespace := o.namespaces[ref.Namespace]; namespace != nil && ref.Namespace != "" {
		namespace.before(t, true)
	}
	if t.step.Object.InSet {
		if definition := o.definitions[schema.GroupKind{Group: ref.Group, Kind: ref.Kind}]; definition != nil {
			definition.before(t, true)
			t.fresh = true
		}
	}
	switch rank := Rank(ref); rank {
	case Foundations:
	case hooks:
		o.barrier(place{"", hooks}).before(t, false)
	default:
		t.before(o.barrier(place{ref.Namespace, rank}), false)
		if rank > settings {
			o.barrier(place{"", rank - 1}).before(t, false)
			if ref.Namespace != "" {
				o.barrier(place{ref.Namespace, rank - 1}).before(t, false)
			}
		}
	}
}
