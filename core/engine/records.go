package engine

import (
	"errors"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/state"
)

// What the engine remembers across restarts, by node id.
const (
	sourceRecords state.Kind[sourceRecord]   = "source"
	syncRecords   state.Kind[syncRecord]     = "sync"
	suspensions   state.Kind[Suspension]     = "suspension"
	reports       state.Kind[rollout.Report] = "report"
)

// recallSource lets a source begin with the tree it had, if that is still
// there and of the same configuration: its syncs then need not wait for a
// repository that cannot be reached. e.mu is held.
func (e *Engine) recallSource(n *node, cfg config.Source) {
	r, ok, err := sourceRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	if !ok || r.Config != fingerprint(cfg.Plugin) {
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
	r, _, err := syncRecords.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	n.sync.record = r
	n.view.LastReady = r.Ready
	report, ok, err := reports.Get(e.store, n.id)
	if err != nil {
		e.log.Warn("cannot recall", "node", n.id, "err", err)
	}
	if !ok {
		return
	}
	n.sync.report = &report
	n.view.Objects, n.view.Failed = report.Counts.Wanted, report.Counts.Failed
	n.showRevision(report.Revision)
}

func (e *Engine) recallSuspension(id string) *Suspension {
	s, ok, err := suspensions.Get(e.store, id)
	if err != nil {
		e.log.Warn("cannot recall", "node", id, "err", err)
	}
	if !ok || !s.Until.IsZero() && !s.Until.After(now()) {
		return nil
	}
	return &s
}

func (e *Engine) deleteRecords(id string) error {
	return errors.Join(
		sourceRecords.Delete(e.store, id), syncRecords.Delete(e.store, id),
		suspensions.Delete(e.store, id), reports.Delete(e.store, id),
	)
}

func isSync(id string) bool { return strings.HasPrefix(id, "sync.") }
