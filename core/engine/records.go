package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/updates"
)

// What the engine remembers across restarts, by node id.
const (
	sourceRecords state.Kind[sourceRecord] = "source"
	syncRecords   state.Kind[storedSync]   = "sync"
	suspensions   state.Kind[Suspension]   = "suspension"
)

// storedSync is a sync's record with its last report, for `why` and `status`
// before it has run again.
type storedSync struct {
	Record syncRecord      `json:"record"`
	Report *rollout.Report `json:"report,omitempty"`
}

// dropRecords has what is kept for a node forgotten soon: who holds the engine
// does not wait for a disk. Nobody recalls it any more. e.mu is held.
func (e *Engine) dropRecords(id string) {
	e.dropped[id] = true
	e.recorder.mark(id)
}

// writeRecords writes what nodes remember now, and forgets those that are gone.
func (e *Engine) writeRecords(ids []string) {
	changes := make([]state.Change, 0, len(ids))
	e.mu.Lock()
	for _, id := range ids {
		n := e.nodes[id]
		if n == nil || e.dropped[id] {
			changes = append(changes, removals(id)...)
			if n != nil && n.suspension != nil { // made anew
				changes = append(changes, n.suspensionRecord())
			}
		}
		if n != nil && n.unsaved {
			n.unsaved = false
			changes = append(changes, n.suspensionRecord())
		}
		switch {
		case n == nil:
		case n.source != nil:
			changes = append(changes, sourceRecords.Change(id, sourceRecord{
				Revision: n.source.revision, Config: digest.Of(n.source.cfg.Plugin),
			}))
		case n.sync != nil:
			changes = append(changes, syncRecords.Change(id, storedSync{Record: n.sync.record, Report: n.sync.report}))
		case n.release != nil:
			changes = append(changes, releaseRecords.Change(id, n.release.stored()))
		case n.automation != nil && e.updates != nil:
			changes = append(changes, updates.Records.Change(id, e.updates.Record(id)))
		}
	}
	e.mu.Unlock()
	if err := e.store.Write(changes); err != nil {
		e.log.Error("cannot write state", "err", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		delete(e.dropped, id)
	}
}

// suspensionRecord is what the disk is to have of who suspended n.
func (n *node) suspensionRecord() state.Change {
	if n.suspension == nil {
		return suspensions.Removal(n.id)
	}
	return suspensions.Change(n.id, *n.suspension)
}

// setSuspension puts s in the place of what a person has said of n before; nil:
// nobody has stopped it. It is remembered soon: who holds the engine does not wait
// for a disk. e.mu is held.
func (e *Engine) setSuspension(n *node, s *Suspension) {
	n.suspension, n.unsaved = s, true
	if n.release != nil && s == nil {
		n.release.resumed = now()
	}
	e.recorder.mark(n.id)
	if e.times != nil {
		e.times.Remove(resumeKey + n.id)
		if s != nil && !s.Until.IsZero() {
			e.times.Set(resumeKey+n.id, time.Until(s.Until), 0)
		}
	}
}

// recallSource lets a source begin with the tree it had, if that is still
// there and of the same configuration: its syncs then need not wait for a
// repository that cannot be reached. e.mu is held.
func (e *Engine) recallSource(n *node, cfg config.Source) {
	r, ok, err := sourceRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	if !ok || r.Config != digest.Of(cfg.Plugin) {
		return
	}
	t, there := e.trees.Get(treeKey(cfg, r.Revision))
	if !there {
		return
	}
	n.source.keep(t, r.Revision)
	n.showRevision(r.Revision)
}

// recallSync restores what a sync has achieved. e.mu is held.
func (e *Engine) recallSync(n *node) {
	r, ok, err := syncRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	if !ok {
		return
	}
	n.sync.record, n.sync.report = r.Record, r.Report
	n.view.LastReady = r.Record.Ready
	if r.Report != nil {
		n.view.Objects, n.view.Failed = r.Report.Counts.Wanted, r.Report.Counts.Failed
		n.showRevision(r.Report.Revision)
	}
	// A daemon that was restarted goes on as if it had not been. A one-shot was
	// asked for the state of now: it waits.
	if !e.oneShot() && r.Report != nil && r.Report.Applied() && r.Record.Config == syncFingerprint(n.sync.cfg) {
		n.sync.settled = r.Report.Tree
	}
}

func (e *Engine) recallSuspension(id string) *Suspension {
	s, ok, err := suspensions.Get(e.store, id)
	if err != nil {
		e.log.Warn("cannot recall", "node", id, "err", err)
	}
	if !ok || e.dropped[id] || !s.Until.IsZero() && !s.Until.After(now()) {
		return nil
	}
	return &s
}

// forgetUndeclared forgets the nodes that left the configuration while no daemon
// ran.
func (e *Engine) forgetUndeclared(ctx context.Context) {
	sources, err1 := sourceRecords.IDs(e.store)
	syncs, err2 := syncRecords.IDs(e.store)
	suspended, err3 := suspensions.IDs(e.store)
	automations, err4 := updates.Records.IDs(e.store)
	releases, err5 := releaseRecords.IDs(e.store)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		e.log.WarnContext(ctx, "cannot tell what is not declared any more", "err", err)
		return
	}
	cared := e.leaveUndeclared(releases)
	ids := slices.Concat(sources, syncs, suspended, automations, releases)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		e.mu.Lock()
		declared := e.nodes[id] != nil
		e.mu.Unlock()
		if declared || cared[id] || e.unseen(id) {
			continue
		}
		gone := &node{id: id, view: Node{ID: id}}
		if isSync(id) {
			gone.sync = &syncNode{}
			e.recallSync(gone)
		} else if r, ok, err := releaseRecords.Get(e.store, id); err == nil && ok {
			gone.release = r.recalled()
		}
		e.forget(ctx, gone)
	}
}

func (e *Engine) deleteRecords(id string) error { return e.store.Write(removals(id)) }

// removals forget all that is kept for a node.
func removals(id string) []state.Change {
	return []state.Change{sourceRecords.Removal(id), syncRecords.Removal(id), suspensions.Removal(id), updates.Records.Removal(id), releaseRecords.Removal(id)}
}

func isSync(id string) bool { return strings.HasPrefix(id, "sync.") }

// automationPrefix begins the ids of image automations.
const automationPrefix = "image_automation."
