package engine

import (
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const kindHelm = "helm"

// helmNode is what only a helm has: what manages the releases of one cluster.
type helmNode struct {
	cfg      config.Helm
	slots    *sched.Slots
	observer *release.Observer // of the open instance
}

func (n *node) isHelm() bool { return n.helm != nil }

// releaseNode is what only a Helm release has, whatever declares it. Engine.mu
// guards it.
type releaseNode struct {
	declared releaseDeclaration
	record   release.Record
	report   *release.Report
	synced   string    // releaseDeclaration.key of the last run that left nothing to do
	ready    time.Time // when that was
	target   string    // what cluster record is of, see Engine.targetOf

	// at holds the revisions of the sources that the last run began with which
	// left nothing to do, by address.
	at map[string]string

	forgive bool              // what failed before counts no more: a person asks for the next run
	endRun  func(cause error) // while one is under way
	asked   []*helmTask       // by hand, to be done by the next runs
	leaving *leaving          // nil: it is declared
	gone    bool              // of a resource: it does not exist any more
	tried   map[string]string // the revisions of sources that the last run began with, however it ended, by address
	// inherits is the owner of the release that this declaration goes on with.
	inherits string
	circle   string    // of resources that depend on each other, if it is in one
	yields   string    // the node that goes on with the release instead
	settled  time.Time // when others that declare the release have had the time to appear
}

// releaseDeclaration is a release as it is declared. It does not change.
type releaseDeclaration struct {
	spec          release.Spec
	key           string // changes with all of it, secrets included
	helm, applier string // addresses
	dependsOn     []string
	suspended     *Suspension // by the declaration
	keep          bool        // the release stays when the declaration goes
	place         string      // for people: file:line:column, or kind and name of a resource
	err           error       // why it cannot be run, whatever happens elsewhere

	block    *config.Release    // of a block
	resource *resource.Resource // of a custom resource
}

// keeps reports whether the release stays when the declaration goes: it says so,
// or it says that nothing is to be done to the release.
func (d releaseDeclaration) keeps() bool { return d.keep || d.suspended != nil }

// sources are those that a run takes files from.
func (d releaseDeclaration) sources() []string {
	var list []string
	if t := d.spec.Chart.Tree; t != nil {
		list = append(list, t.Source)
	}
	for _, v := range d.spec.From {
		if v.Source != "" {
			list = append(list, v.Source)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// instances are the nodes whose plugins a run uses.
func (d releaseDeclaration) instances() []string {
	list := d.sources()
	for _, id := range []string{d.helm, d.applier} {
		if id != "" {
			list = append(list, id)
		}
	}
	return list
}

// storedRelease is what is remembered of a release across restarts: enough to
// uninstall it when its declaration is gone.
type storedRelease struct {
	Record   release.Record  `json:"record"`
	Report   *release.Report `json:"report,omitempty"`
	Synced   string          `json:"synced,omitempty"`
	Ready    time.Time       `json:"ready,omitzero"`
	Target   string          `json:"target,omitempty"`
	Helm     string          `json:"helm,omitempty"`
	Applier  string          `json:"applier,omitempty"`
	Keep     bool            `json:"keep,omitempty"`
	Resource *applier.Ref    `json:"resource,omitempty"` // the custom resource that declared it
	Leaving  *leaving        `json:"leaving,omitempty"`
	Inherits string          `json:"inherits,omitempty"`
}

// stored is what is remembered of r.
func (r *releaseNode) stored() storedRelease {
	d := r.declared
	s := storedRelease{
		Record: r.record, Report: r.report, Synced: r.synced, Target: r.target, Helm: d.helm, Applier: d.applier,
		Keep: d.keeps(), Leaving: r.leaving, Ready: r.ready, Inherits: r.inherits,
	}
	if d.resource != nil {
		s.Resource = &d.resource.Ref
	}
	return s
}

// recalled is r as it was when s was stored.
func (s storedRelease) recalled() *releaseNode {
	return &releaseNode{
		record: s.Record, report: s.Report, synced: s.Synced, ready: s.Ready, inherits: s.Inherits, target: s.Target, leaving: s.Leaving,
		declared: releaseDeclaration{helm: s.Helm, applier: s.Applier, keep: s.Keep},
	}
}

// installed reports whether the record is of a release that may be there.
func (r *releaseNode) installed() bool { return r.record.Ref.Name != "" }

// hasRevision reports whether a run has seen or made a revision of the release.
func (r *releaseNode) hasRevision() bool {
	return r.installed() && (r.record.Last.Number > 0 || r.report != nil && r.report.Revision.Number > 0)
}
