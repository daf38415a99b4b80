package declare

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Cluster is what custom resources mean that are in the cluster of one applier.
type Cluster struct {
	Applier, Helm string // addresses
	Name          string // of the applier, as it stands in the ids of resources
	Options       resource.Options
}

// Resource is what a resource of c declares. err is why it cannot be run, and
// exists reports whether a resource is there, by its id.
func (c Cluster) Resource(r resource.Resource, err error, exists func(id string) bool) Declaration {
	d := Declaration{
		Spec: r.Spec, Key: digest.Of(r.UID, r.Declared, c.Options, fmt.Sprint(err)), Helm: c.Helm, Applier: c.Applier, Keep: r.KeepOnRemove,
		Place: fmt.Sprintf("%s %s/%s", r.Ref.Kind, r.Ref.Namespace, r.Ref.Name), Err: err, Resource: &r,
	}
	for _, name := range r.DependsOn {
		d.DependsOn = append(d.DependsOn, c.dependency(r.Ref, name, exists))
	}
	if r.Suspended {
		d.Suspended = &Suspended{By: "the resource", Reason: r.SuspendReason}
	}
	return d
}

// dependency is the id of a resource that another one names: one of the same
// kind, if there is no other.
func (c Cluster) dependency(by applier.Ref, name string, exists func(id string) bool) string {
	namespace, name, _ := strings.Cut(name, "/")
	var same string
	for _, k := range resource.Kinds() {
		id := resource.Resource{Ref: applier.Ref{Group: k.Group, Kind: k.Kind, Namespace: namespace, Name: name}}.ID(c.Name)
		if k.Group == by.Group && k.Kind == by.Kind {
			same = id
		} else if exists(id) && same == "" {
			same = id
		}
	}
	return same
}
