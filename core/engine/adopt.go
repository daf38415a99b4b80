package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/graph"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// change is what adopting a configuration does to the running nodes.
type change struct {
	nodes   map[string]*node
	graph   *graph.Graph[*node]
	added   []string
	changed []string // reconfigured: what they do must begin anew
	touched []string // to be run, and otherwise left alone
	removed []*node
	marked  []string   // whose records are to be written
	stop    []string   // removed, changed, and what depends on them
	close   []instance // of plugins that are not needed any more, or not so
	oldHost pluginHost // nil if it is taken over
}

// adopt makes c the running configuration: nodes whose declaration is the same
// go on undisturbed, the others are stopped and awaited before anything new
// begins. It returns the nodes that are to run now. e.reloading is held, or
// nothing runs yet.
func (e *Engine) adopt(ctx context.Context, c *candidate) ([]string, error) {
	ch, err := e.swap(c)
	if err != nil {
		return nil, err
	}
	e.unfollow(ch.stop)
	errs := []error{e.stopJobs(ctx, ch.stop), closeAll(ctx, ch.close)}
	c.protectSecrets()
	for _, id := range ch.marked {
		e.recorder.mark(id)
	}
	e.configureImaging(c)
	e.configureUpdates(c)
	for _, n := range ch.removed {
		e.forget(ctx, n)
	}
	if ch.oldHost != nil {
		errs = append(errs, ch.oldHost.Close(ctx))
	}
	e.schedule()
	e.forgetWorkloads()
	e.followResources()
	if err := errors.Join(errs...); err != nil {
		e.log.WarnContext(ctx, "stopping what the new configuration does not hold", "err", err)
	}
	return slices.Concat(ch.added, ch.touched, ch.stop), nil
}

// swap puts the nodes of c in the place of those that run. What the change says
// is to be stopped still runs when it returns.
func (e *Engine) swap(c *candidate) (*change, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch, err := e.compare(c)
	if err != nil {
		return nil, err
	}
	for _, id := range ch.stop {
		n := e.nodes[id]
		if n.sync != nil {
			n.sync.unsettle()
		}
		if n.release != nil && n.release.endRun != nil {
			n.release.endRun(errSuperseded)
		}
	}
	if e.running != nil && e.running.host != c.host {
		ch.oldHost = e.running.host
	}
	e.running, e.nodes, e.graph = c, ch.nodes, ch.graph
	ch.touched = append(ch.touched, e.placeCharts()...) // its sources may have come, or gone
	e.relink()
	e.status.Loaded, e.status.OK = now(), true
	e.setLogLevel(c.cfg.Settings)
	e.nodeChanged()
	return ch, nil
}

// setLogLevel has the log tell what the configuration wants it to.
func (e *Engine) setLogLevel(s config.Settings) {
	if e.opts.LogLevel == nil {
		return
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		panic(fmt.Sprintf("engine: log_level %q: %v", s.LogLevel, err)) // config knows the same names
	}
	e.opts.LogLevel.Set(level)
}

// runNow has nodes run that were added or changed: appliers before sources,
// which may need a secret that an applier keeps. A new sync of a source that
// has not told yet is left to the source.
func (e *Engine) runNow(ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		n := e.nodes[id]
		switch {
		case n == nil:
		case n.isHelm(): // is opened when a release needs it
		case n.plugin != nil && n.source == nil:
			e.triggerLocked(id, sched.Interactive)
		case n.sync != nil && n.begun == 0 && !e.nodes[n.sync.cfg.Source].source.told:
		default:
			e.triggerLocked(id, sched.Webhook)
		}
	}
}

func (e *Engine) dependentsOf(id string) []string {
	if e.graph == nil {
		return nil
	}
	return e.graph.Dependents(id)
}

// stopJobs cancels the jobs of nodes and waits for them.
func (e *Engine) stopJobs(ctx context.Context, ids []string) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, e.pool.Cancel(ctx, id), e.pool.Cancel(ctx, discoverKey+id))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		if n := e.nodes[id]; n != nil {
			n.queued, n.ended = false, n.begun
		}
	}
	return errors.Join(errs...)
}

// compare builds the nodes of c, taking over those that run. e.mu is held.
func (e *Engine) compare(c *candidate) (*change, error) {
	ch := &change{nodes: map[string]*node{}}
	sameHost := e.running == nil || e.running.host == c.host
	for _, s := range c.cfg.Sources {
		e.compareSource(ch, c, s, sameHost)
	}
	for _, a := range c.cfg.Appliers {
		e.takeOver(ch, a.Block, &a.Plugin, sameHost)
	}
	for _, r := range c.cfg.Renderers {
		e.takeOver(ch, r.Block, &r.Plugin, sameHost).timeout = r.Timeout
	}
	for _, h := range c.cfg.Helms {
		e.compareHelm(h, e.takeOver(ch, h.Block, &h.Plugin, sameHost))
	}
	for _, r := range c.cfg.Releases {
		e.compareRelease(ch, r, e.takeOver(ch, r.Block, nil, true))
	}
	for _, s := range c.cfg.Syncs {
		e.compareSync(ch, s, e.takeOver(ch, s.Block, nil, true))
	}
	for _, a := range c.cfg.ImageAutomations {
		e.compareAutomation(ch, a, e.takeOver(ch, a.Block, nil, true))
	}
	e.partings(ch, c)
	e.keepCharts(ch, c)
	for id, n := range e.nodes {
		if ch.nodes[id] == nil {
			ch.remove(n)
		}
	}
	ch.stop = slices.Clone(ch.changed)
	for _, n := range ch.removed {
		ch.stop = append(ch.stop, n.id)
	}
	for _, id := range ch.stop {
		// Whoever uses an instance has ended before the instance is closed.
		for _, other := range e.dependentsOf(id) {
			if n := e.nodes[other]; n.release == nil || slices.Contains(n.release.declared.Instances(), id) {
				ch.stop = append(ch.stop, other)
			}
		}
	}
	slices.Sort(ch.stop)
	ch.stop = slices.Compact(ch.stop)
	for _, id := range ch.added {
		if s := ch.nodes[id].suspended(); s != nil {
			ch.nodes[id].set(Suspended, s.String(), resumeHint(s, id))
		}
	}
	var err error
	ch.graph, err = link(ch.nodes)
	return ch, err
}

// compareSource puts the node of s into ch. What was fetched by another
// configuration is forgotten.
func (e *Engine) compareSource(ch *change, c *candidate, s config.Source, sameHost bool) {
	plugin, original, instead := c.mirrors.Source(s.Plugin, e.pemFile)
	s.Plugin = plugin
	n := e.takeOver(ch, s.Block, &s.Plugin, sameHost)
	defer func() { n.source.original, n.source.mirror = original, instead }()
	switch {
	case n.source == nil:
		n.source = &sourceNode{}
		e.recallSource(n, s)
	case pluginKey(n.source.cfg.Plugin) != pluginKey(s.Plugin):
		n.source.keep(nil, source.Revision{})
		*n.source = sourceNode{}
	case n.source.cfg.Suspend != s.Suspend:
		ch.touched = append(ch.touched, s.Address)
	}
	n.source.cfg = s
}

// compareSync gives n the declaration s.
func (e *Engine) compareSync(ch *change, s config.Sync, n *node) {
	n.view.DependsOn = instancesOf(s)
	n.view.DependsOn = append(n.view.DependsOn, s.DependsOn...)
	if n.sync == nil {
		n.sync = &syncNode{cfg: s}
		e.recallSync(n)
	} else if digest.Of(withoutRange(n.sync.cfg)) != digest.Of(withoutRange(s)) {
		ch.changed = append(ch.changed, s.Address)
	}
	n.sync.cfg = s
}

// remove drops a node that is declared no more.
func (ch *change) remove(n *node) {
	ch.removed = append(ch.removed, n)
	if n.handle != nil {
		ch.close = append(ch.close, n.handle)
	}
	if n.source != nil {
		n.source.keep(nil, source.Revision{})
	}
}

// takeOver puts the node of b into ch: the running one, or a new one. An
// instance whose configuration or host has changed is to be closed.
func (e *Engine) takeOver(ch *change, b config.Block, p *config.PluginConfig, sameHost bool) *node {
	n := e.nodes[b.Address]
	if n == nil {
		n = &node{id: b.Address, plugin: p}
		n.view = Node{ID: b.Address, State: Waiting, Reason: "for its first run", Since: now()}
		n.suspension = e.recallSuspension(b.Address)
		ch.added = append(ch.added, b.Address)
	} else if p != nil {
		if !sameHost || pluginKey(*n.plugin) != pluginKey(*p) {
			ch.changed = append(ch.changed, b.Address)
			if n.handle != nil {
				ch.close = append(ch.close, n.handle)
				n.handle, n.warnings = nil, nil
			}
		}
		n.plugin = p
	}
	n.view.Declared = b.Range.String()
	ch.nodes[b.Address] = n
	return n
}

// instancesOf are the nodes whose plugins a run of s uses.
func instancesOf(s config.Sync) []string {
	ids := []string{s.Source, s.Applier}
	if s.Renderer != "" {
		ids = append(ids, s.Renderer)
	}
	return ids
}

// withoutRange leaves out what a moved line changes.
func withoutRange(s config.Sync) config.Sync {
	s.Range = diag.Range{}
	if s.Marker != nil {
		m := *s.Marker
		m.Range = diag.Range{}
		s.Marker = &m
	}
	return s
}

// forget drops what is kept for a removed node, and says so: the objects of a
// removed sync stay in the target.
func (e *Engine) forget(ctx context.Context, n *node) {
	e.unschedule(n.id)
	e.mu.Lock()
	if n.sync != nil && n.sync.report != nil {
		e.publish(n, eventRemoved, fmt.Sprintf("not in the configuration any more: %s of it stay in the target, where nothing manages them",
			rollout.Objects(n.sync.report.Counts.Owned)))
	}
	e.mu.Unlock()
	if r := n.release; r != nil {
		r.failTasks()
		e.mu.Lock()
		if heir := heirOf(e.nodes, n); heir != nil {
			e.inherit(heir, n)
		} else if r.installed() {
			e.publish(n, eventRemoved, "not in the configuration any more: "+leave.Stays(r.record.Ref))
		}
		e.freed(n, r.ref())
		e.mu.Unlock()
	}
	if n.automation != nil && e.updates != nil {
		if err := e.updates.Forget(n.id); err != nil {
			e.log.ErrorContext(ctx, "cannot forget an automation", "node", n.id, "err", err)
		}
	}
	if err := errors.Join(e.deleteRecords(n.id), os.RemoveAll(e.workDirOf(n.id))); err != nil {
		e.log.ErrorContext(ctx, "cannot remove what was kept", "node", n.id, "err", err)
	}
}

// schedule gives each node its interval.
func (e *Engine) schedule() {
	if e.times == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		e.schedulePart(n)
	}
	e.scheduleDiscovery()
}

// schedulePart gives n its interval. e.mu is held.
func (e *Engine) schedulePart(n *node) {
	if e.times == nil {
		return
	}
	interval := n.interval()
	if n.isHelm() && n.begun == 0 {
		e.times.Set(n.id, time.Hour, 0)
		e.times.Succeeded(n.id) // known, and due only after a failure: it is opened when a release needs it
	} else {
		e.times.Set(n.id, interval, interval)
	}
	if n.suspension != nil && !n.suspension.Until.IsZero() {
		e.times.Set(resumeKey+n.id, time.Until(n.suspension.Until), 0)
	}
}

// interval is how often n works if nothing happens; 0: it does not.
func (n *node) interval() time.Duration {
	switch {
	case n.source != nil:
		return n.source.cfg.Interval
	case n.sync != nil:
		return n.sync.cfg.Interval
	case n.automation != nil:
		return n.automation.cfg.Interval
	case n.release != nil:
		return cmp.Or(n.release.declared.Spec.Interval, defaultReleaseInterval)
	}
	return 0
}

// unschedule forgets when a node is due.
func (e *Engine) unschedule(id string) {
	if e.times == nil {
		return
	}
	e.times.Remove(id)
	e.times.Remove(resumeKey + id)
	e.times.Remove(discoverKey + id)
}
