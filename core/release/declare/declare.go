// Package declare reads what declares releases: a block of the configuration, or
// a custom resource in a cluster. Both become a Declaration, which says what is
// to be made, what it needs, and what becomes of the release when the declaration
// goes; whoever works on releases need not know where they come from.
//
// Nothing here asks anybody, and nothing depends on the time.
package declare

import (
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Declaration is a release as it is declared. It does not change, but for the
// tree of a chart that Resource.Git tells of, which is for the caller to find.
type Declaration struct {
	Spec          release.Spec
	Key           string     // changes with all of it, secrets included, and does not tell them
	Helm, Applier string     // addresses
	DependsOn     []string   // addresses of blocks, and ids of resources
	Suspended     *Suspended // by the declaration; nil: it is not
	Keep          bool       // the release stays when the declaration goes
	Place         string     // for people: file:line:column, or kind and name of a resource
	Err           error      // why it cannot be run, whatever happens elsewhere

	Block    *config.Release    // of a block
	Resource *resource.Resource // of a custom resource
}

// Suspended says that nothing is to be done to a release, and why.
type Suspended struct {
	By     string // "the configuration"
	Reason string
}

// Keeps reports whether the release stays when the declaration goes: it says so,
// or it says that nothing is to be done to the release.
func (d Declaration) Keeps() bool { return d.Keep || d.Suspended != nil }

// Sources are the addresses of those that a run takes files from, in order.
func (d Declaration) Sources() []string {
	var list []string
	if t := d.Spec.Chart.Tree; t != nil {
		list = append(list, t.Source)
	}
	for _, v := range d.Spec.From {
		if v.Source != "" {
			list = append(list, v.Source)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Instances are the addresses of what has plugins that a run uses.
func (d Declaration) Instances() []string {
	list := d.Sources()
	for _, id := range []string{d.Helm, d.Applier} {
		if id != "" {
			list = append(list, id)
		}
	}
	return list
}

// Release is what is declared, and who is the owner. A declaration that cannot be
// read any more is about the release that its last run was about.
func (d Declaration) Release(last release.Record) (ref helm.ReleaseRef, owner string) {
	if d.Spec.Ref.Name == "" {
		return last.Ref, last.Owner
	}
	return d.Spec.Ref, d.Spec.Owner
}
