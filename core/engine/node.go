package engine

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/engine/charts"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// node is one declaration at work. Engine.mu guards all of it.
type node struct {
	id   string
	view Node

	queued  bool    // a run has been triggered and has not begun
	begun   uint64  // runs that have begun
	ended   uint64  // of these, the last one that is over, cancelled or not
	outcome outcome // of the last one that was not cancelled
	said    string  // the last event, so that the same is not said twice

	failure  error             // of the last run, nil if it went well
	warnings []rollout.Problem // of the plugin, when the instance was opened

	suspension *Suspension // by a person; configuration's is in the block
	unsaved    bool        // the disk may have another suspension as yet

	plugin *config.PluginConfig // of a source or an applier
	handle instance             // open instance of it, nil while there is none
	away   *outage              // of an applier: its target does not answer; nil: it does

	timeout time.Duration // of a renderer's work

	source     *sourceNode
	sync       *syncNode
	automation *automationNode
	helm       *helmNode
	release    *releaseNode
}

// isApplier and isRenderer tell what n is of the nodes that only hold an open
// instance.
func (n *node) isApplier() bool  { return n.plugin != nil && n.plugin.Kind == kindApplier }
func (n *node) isRenderer() bool { return n.plugin != nil && n.plugin.Kind == kindRenderer }

const (
	kindApplier  = "applier"
	kindRenderer = "renderer"
)

// outcome is what a run has come to. Whoever waited for that run may look only
// when the next one has begun.
type outcome struct {
	run    uint64
	view   Node
	report *rollout.Report // of a sync's run that came as far as that
	made   *release.Report // of a release's run
}

// sourceNode is what only a source has.
type sourceNode struct {
	cfg      config.Source
	previous source.Revision // what Resolve last returned
	revision source.Revision // of tree
	tree     *tree.Tree      // the newest one, held; nil before the first
	told     bool            // the syncs know of tree
	charts   *charts.Source  // nil: a block declares it
	original string          // the URL that a mirror stands in for
	mirror   string          // the URL of that mirror
	resolved uint64          // the last run that has seen which revision is the newest
}

// syncNode is what only a sync has.
type syncNode struct {
	cfg       config.Sync
	loaded    *rollout.Loaded
	loadedKey string // of loaded: tree and paths
	report    *rollout.Report
	record    syncRecord
	tree      string // digest of what the last run has begun with
	seen      uint64 // the run of the source that had seen that what is applied was the newest
	settled   string // digest of the tree that the last run has seen through

	// settledLoad is the digest of the load that report is of, if all of it was
	// seen through.
	settledLoad string

	endWait func(cause error) // while it waits for objects

	markSaid string // the last warning about the marker

	contended contention // by others

	resources  int  // among the objects, those that declare releases
	unfollowed bool // nobody runs them, which was said
}

// unsettle ends a wait, and has the next run look at the target whatever the
// last one has seen.
func (s *syncNode) unsettle() {
	s.settled, s.settledLoad = "", ""
	if s.endWait != nil {
		s.endWait(errSuperseded)
	}
}

// syncRecord is what a sync remembers across restarts.
type syncRecord struct {
	Revision source.Revision `json:"revision"`         // last applied without failure
	Tree     string          `json:"tree,omitempty"`   // of it
	Config   string          `json:"config,omitempty"` // fingerprint of the block it was applied for
	Origin   string          `json:"origin,omitempty"` // where the objects came from, see origin
	Approved string          `json:"approved,omitempty"`
	Refused  []string        `json:"refused,omitempty"` // objects that the target did not take when last nothing was left to delete
	Ready    time.Time       `json:"ready,omitzero"`
	Marked   string          `json:"marked,omitempty"` // the marker that was moved last, and to where
}

// sourceRecord is what a source remembers across restarts.
type sourceRecord struct {
	Revision source.Revision `json:"revision"`
	Config   string          `json:"config"` // fingerprint of the plugin's configuration
}

// set changes the state that people see. The time of entry stays while only
// the reason changes.
func (n *node) set(state State, reason, unblock string) {
	if n.view.State != state {
		n.view.Since = now()
	}
	n.view.State, n.view.Reason, n.view.Unblock = state, reason, unblock
}

// kind says what n is.
func (n *node) kind() string {
	switch {
	case n.source != nil:
		return "a source"
	case n.sync != nil:
		return "a sync"
	case n.automation != nil:
		return "an image automation"
	case n.release != nil:
		return "a release"
	case n.isHelm():
		return "a helm"
	case n.isRenderer():
		return "a renderer"
	}
	return "an applier"
}

// begin counts a run.
func (n *node) begin() {
	n.queued = false
	n.begun++
}

// busy reports whether a run is under way or about to begin.
func (n *node) busy() bool { return n.queued || n.ended < n.begun }

// showRevision puts a revision where people see it.
func (n *node) showRevision(r source.Revision) {
	n.view.Revision, n.view.Ref, n.view.Message = r.ID, r.Ref, r.Message
}

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// suspended returns who stopped the node, nil if nobody did.
func (n *node) suspended() *Suspension {
	switch {
	case n.suspension != nil:
		return n.suspension
	case n.source != nil && n.source.cfg.Suspend, n.sync != nil && n.sync.cfg.Suspend:
		return n.since(suspendedByConfig(""))
	case n.automation != nil && n.automation.cfg.Suspend:
		return n.since(suspendedByConfig(n.automation.cfg.SuspendReason))
	case n.release != nil && n.release.declared.Suspended != nil:
		return n.since(suspendedBy(n.release.declared.Suspended.By, n.release.declared.Suspended.Reason))
	}
	return nil
}

// since is s from when n entered its state.
func (n *node) since(s *Suspension) *Suspension {
	at := *s
	at.Since = n.view.Since
	return &at
}

func suspendedByConfig(reason string) *Suspension {
	return suspendedBy("the configuration", cmp.Or(reason, "suspend = true"))
}

// suspendedBy is a suspension that only a change of the declaration ends.
func suspendedBy(who, reason string) *Suspension {
	return &Suspension{By: who, Reason: reason, Config: true}
}

// String says who, why and until when.
func (s Suspension) String() string {
	text := "suspended by " + s.By
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	if !s.Until.IsZero() {
		text += ", until " + s.Until.Format(time.RFC3339)
	}
	return text
}

// pluginKey identifies a plugin's configuration, secrets included: it stays in
// memory. An open instance is kept while its key stays the same.
func pluginKey(p config.PluginConfig) string {
	return p.Kind + "/" + p.Type + " " + string(p.JSON)
}

// origin identifies where a sync's objects come from: the source without its
// secrets, and the paths. If it changes, what leaves the load has not been
// deleted by anybody.
func origin(src config.Source, s config.Sync) string {
	return fmt.Sprintf("%s, paths %s, configuration %s", src.Plugin, strings.Join(s.Paths, " "), digest.Of(src.Plugin, s.Paths))
}

// syncFingerprint identifies what a sync applies and where, so that a
// dependant can tell whether the record is of the present block.
func syncFingerprint(s config.Sync) string {
	if s.Renderer != "" {
		return digest.Of(s.Source, s.Applier, s.Paths, s.Renderer)
	}
	return digest.Of(s.Source, s.Applier, s.Paths)
}
