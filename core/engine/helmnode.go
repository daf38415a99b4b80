package engine

import (
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
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
	declared declare.Declaration
	record   release.Record
	report   *release.Report
	synced   string    // Declaration.Key of the last run that left nothing to do
	ready    time.Time // when that was
	resumed  time.Time // when a suspension by a person has ended; zero: nobody knows of any
	target   string    // what cluster record is of, see Engine.targetOf

	// at holds the revisions of the sources that the last run began with which
	// left nothing to do, by address.
	at map[string]string

	forgive bool              // what failed before counts no more: a person asks for the next run
	endRun  func(cause error) // while one is under way
	asked   byhand.Queue      // by hand, to be done by the next runs
	leaving *leave.Leaving    // nil: it is declared
	gone    bool              // of a resource: it does not exist any more
	tried   map[string]string // the revisions of sources that the last run began with, however it ended, by address
	// inherits is the owner of the release that this declaration goes on with.
	inherits string
	circle   string    // of resources that depend on each other, if it is in one
	yields   string    // the node that goes on with the release instead
	settled  time.Time // when others that declare the release have had the time to appear
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
	Leaving  *leave.Leaving  `json:"leaving,omitempty"`
	Inherits string          `json:"inherits,omitempty"`
	Resumed  time.Time       `json:"resumed,omitzero"`
}

// stored is what is remembered of r.
func (r *releaseNode) stored() storedRelease {
	d := r.declared
	s := storedRelease{
		Record: r.record, Report: r.report, Synced: r.synced, Target: r.target, Helm: d.Helm, Applier: d.Applier,
		Keep: d.Keeps(), Leaving: r.leaving, Ready: r.ready, Inherits: r.inherits, Resumed: r.resumed,
	}
	if d.Resource != nil {
		s.Resource = &d.Resource.Ref
	}
	return s
}

// recalled is r as it was when s was stored.
func (s storedRelease) recalled() *releaseNode {
	return &releaseNode{
		record: s.Record, report: s.Report, synced: s.Synced, ready: s.Ready, inherits: s.Inherits, target: s.Target, leaving: s.Leaving, resumed: s.Resumed,
		declared: declare.Declaration{Helm: s.Helm, Applier: s.Applier, Keep: s.Keep},
	}
}

// installed reports whether the record is of a release that may be there.
func (r *releaseNode) installed() bool { return r.record.Ref.Name != "" }

// hasRevision reports whether a run has seen or made a revision of the release.
func (r *releaseNode) hasRevision() bool {
	return r.installed() && (r.record.Last.Number > 0 || r.report != nil && r.report.Revision.Number > 0)
}

// ref is the Helm release that r is about.
func (r *releaseNode) ref() helm.ReleaseRef {
	ref, _ := r.declared.Release(r.record)
	return ref
}
