package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release/blockimages"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// site is the engine as what looks after images sees it.
type site struct{ engine *Engine }

var _ updates.Site = site{}

// Syncs implements updates.Site.
func (s site) Syncs() []string {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for id, n := range e.nodes {
		if _, ok := n.files(); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Files implements updates.Site.
func (s site) Files(id string) (f updates.Files, ok bool) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if f.Sync, ok = n.files(); !ok {
		return f, false
	}
	if block := n.block(); block != nil {
		f.Block = &blockimages.Values{Block: *block, Config: e.running.cfg}
		return f, true
	}
	f.Namespace = defaultNamespace(e.nodes[f.Sync.Applier].plugin)
	return f, true
}

// Newest implements updates.Site.
func (s site) Newest(id string) (newest updates.Newest, ok bool) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.source == nil {
		return newest, false
	}
	return updates.Newest{Revision: n.source.revision, Resolved: n.source.resolved}, true
}

// Hold implements updates.Site.
func (s site) Hold(id string) (*tree.Tree, error) {
	e := s.engine
	e.mu.Lock()
	n := e.nodes[id]
	if n == nil || n.source == nil {
		e.mu.Unlock()
		return nil, refusal.NotFound("%s is not in the configuration any more", id)
	}
	cfg, rev := n.source.cfg, n.source.revision
	e.mu.Unlock()
	t, ok := e.trees.Get(treeKey(cfg, rev))
	if !ok {
		return nil, fmt.Errorf("%s has no revision yet", id)
	}
	return t, nil
}

// Refresh implements updates.Site.
func (s site) Refresh(ctx context.Context, syncs []string) error {
	e := s.engine
	return e.await(ctx, e.submit(e.sourcesOf(syncs), nil))
}

// Renderer implements updates.Site.
func (s site) Renderer(address string) (render.Instance, error) { return s.engine.renderer(address) }

// Repository implements updates.Site.
func (s site) Repository(id, branch string) (writeback.Repository, error) {
	return s.engine.openRepository(id, branch)
}

// Workloads implements updates.Site.
func (s site) Workloads(ctx context.Context, req workload.Request) (workload.Answer, error) {
	return s.engine.Workloads(ctx, req)
}

// Running implements updates.Site.
func (s site) Running(applier string) []workload.Workload {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workloads[applier]
}

// Applied implements updates.Site. A release has applied a revision when it was
// tried.
func (s site) Applied(id, revision string, after uint64) bool {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	files, ok := n.files()
	if !ok {
		return true
	}
	if n.release != nil {
		tried, reads := n.release.tried[files.Source]
		if n.release.tried != nil && !reads {
			return true // only its block is there, which somebody brings back
		}
		src := e.nodes[files.Source].source
		return tried == revision || tried == src.revision.ID && src.resolved > after
	}
	if n.sync.record.Config != syncFingerprint(n.sync.cfg) {
		return false
	}
	return n.sync.record.Revision.ID == revision || n.sync.seen > after
}

// Stalled implements updates.Site.
func (s site) Stalled(id string) map[string]string {
	e := s.engine
	e.mu.Lock()
	var report *rollout.Report
	if n := e.nodes[id]; n != nil && n.sync != nil {
		report = n.sync.report // a release tells by its own rollout
	}
	e.mu.Unlock()
	return stalledIn(report)
}

// stalledIn tells, by workload, why the last run of a sync says that it will not
// become ready.
func stalledIn(r *rollout.Report) map[string]string {
	stalled := map[string]string{}
	if r == nil {
		return stalled
	}
	for _, o := range r.Objects {
		switch {
		case o.Health == applier.Stalled:
			stalled[workload.ID(o.Ref)] = o.Reason
		case o.Failed():
			stalled[workload.ID(o.Ref)] = o.Failure()
		}
	}
	return stalled
}

// Automation implements updates.Site.
func (s site) Automation(id string) (a updates.Automation, ok bool) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.automation == nil {
		return a, false
	}
	return n.asAutomation(), true
}

// Automations implements updates.Site.
func (s site) Automations(sync string) []updates.Automation {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []updates.Automation
	for _, n := range e.nodes {
		if n.automation != nil && (sync == "" || n.automation.cfg.Target == sync) {
			list = append(list, n.asAutomation())
		}
	}
	slices.SortFunc(list, func(a, b updates.Automation) int { return cmp.Compare(a.Config.Address, b.Config.Address) })
	return list
}

// asAutomation is n as what looks after images sees it. Engine.mu is held.
func (n *node) asAutomation() updates.Automation {
	a := updates.Automation{Config: n.automation.cfg}
	if s := n.suspended(); s != nil {
		a.Suspended = s.String()
	}
	if n.view.State == Failed || n.view.State == Blocked {
		a.Stuck = string(n.view.State) + ": " + n.view.Reason
	}
	return a
}

// Concluded implements updates.Site.
func (s site) Concluded(automation string, o updates.Outcome) { s.engine.concluded(automation, o) }

// LookSoon implements updates.Site.
func (s site) LookSoon(sync string, p sched.Priority) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.engine.lookSoon(sync, p)
}

// Warn implements updates.Site.
func (s site) Warn(id string, err error) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[id]; n != nil && e.alive {
		e.say(n, eventCommitTrouble, words.OneLine(err))
	}
}

// Publish implements updates.Site.
func (s site) Publish(ev event.Event) { s.engine.publishEvent(ev) }
