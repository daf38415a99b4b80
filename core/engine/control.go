package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
)

// Status returns the state of every node, ordered by id.
func (e *Engine) Status() Status {
	down, pending := e.down(), e.pendingCommits()
	e.mu.Lock()
	defer e.mu.Unlock()
	st := Status{Nodes: make([]Node, 0, len(e.nodes)), Pending: pending}
	for _, id := range slices.Sorted(maps.Keys(e.nodes)) {
		n := e.nodes[id]
		if e.isIdle(n) && n.helm.cfg.Implicit { // nobody has asked for it
			continue
		}
		v := e.show(n)
		v.noteDown(down)
		st.Nodes = append(st.Nodes, v)
	}
	if !e.status.OK || len(e.status.Problems) > 0 {
		st.Config = new(e.configStatus())
	}
	return st
}

// show returns what people see of n. e.mu is held.
func (e *Engine) show(n *node) Node {
	v := n.view
	v.DependsOn = slices.Clone(v.DependsOn)
	if e.isIdle(n) && n.begun == 0 {
		v.State, v.Reason = Ready, "no release needs it"
	}
	if n.isApplier() {
		v.Problems = slices.Concat(v.Problems, e.cannotSee(n.id))
	}
	if text := e.unfollowed(n); text != "" {
		v.Problems = append(slices.Clip(v.Problems), rollout.Problem{Severity: "warning", Summary: text})
	}
	if n.sync != nil {
		v.Problems = append(slices.Clip(v.Problems), n.sync.contended.problem()...)
	}
	if s := n.suspended(); s != nil {
		c := *s
		v.Suspension = &c
	}
	e.noteAway(n, &v)
	if e.times != nil && v.State != Suspended && v.State != Blocked && v.State != Running {
		if at, ok := e.times.Next(n.id); ok {
			v.NextAttempt = at.UTC().Truncate(time.Millisecond)
		}
	}
	return v
}

// Version returns the version of the program, as Options gave it.
func (e *Engine) Version() string { return e.opts.Version }

// Alive reports whether the daemon works: it has started and is not stopping.
func (e *Engine) Alive() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.alive
}

// checkAlive is the error of a request that comes too early or too late.
func (e *Engine) checkAlive() error {
	if !e.Alive() {
		return refusal.Conflict("the daemon is starting or stopping")
	}
	return nil
}

// Node returns one node, by id or sync name, with its last report.
func (e *Engine) Node(name string) (Detail, error) {
	id, err := e.resolveOne(name, anyNode)
	if err != nil {
		return Detail{}, err
	}
	d := e.detail(id)
	d.Node.noteDown(e.down())
	return d, nil
}

// down returns the plugins that wait for their restart, by the nodes that have
// an instance in them.
func (e *Engine) down() map[string]pluginhost.PluginStatus {
	down := map[string]pluginhost.PluginStatus{}
	for _, p := range e.Plugins() {
		if p.State != pluginhost.Backoff {
			continue
		}
		for _, id := range p.Instances {
			down[id] = p
		}
	}
	return down
}

// noteDown shows a node whose plugin has ended as failed, whatever it has done
// last.
func (n *Node) noteDown(down map[string]pluginhost.PluginStatus) {
	p, ok := down[n.ID]
	if !ok || n.State != Ready && n.State != Running {
		return
	}
	n.State, n.Since = Failed, p.Since
	n.Reason = fmt.Sprintf("its plugin %s is not running: %s", p.Plugin, p.Reason)
	n.Unblock = "its restart"
	if p.RetryAt != nil {
		n.Unblock += " at " + p.RetryAt.Format(time.RFC3339)
	}
}

// detail returns what is known of id; reports are never changed once they are
// there, so they can be shared.
func (e *Engine) detail(id string) Detail {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return Detail{Node: Node{ID: id, State: Failed, Reason: "removed from the configuration"}}
	}
	d := Detail{Node: e.show(n)}
	if n.sync != nil {
		d.Report = n.sync.report
	}
	if n.release != nil {
		d.Release = n.release.report
	}
	return d
}

// Plugins returns what the plugin processes are doing.
func (e *Engine) Plugins() []pluginhost.PluginStatus {
	e.mu.Lock()
	var host pluginHost
	if e.running != nil {
		host = e.running.host
	}
	e.mu.Unlock()
	if host == nil {
		return nil
	}
	return host.Status()
}

// ConfigStatus returns what runs and what came of the last reload.
func (e *Engine) ConfigStatus() ConfigStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.configStatus()
}

// configStatus copies e.status. e.mu is held.
func (e *Engine) configStatus() ConfigStatus {
	st := e.status
	st.Problems = slices.Clone(st.Problems)
	return st
}

// Approve allows the pruning that a sync waits for, or the end of the releases
// that left the configuration together with the one that is named, and has it
// run. It returns the digest that it approved.
func (e *Engine) Approve(ctx context.Context, req ApproveRequest) (string, error) {
	if err := e.checkAlive(); err != nil {
		return "", err
	}
	id, err := e.resolveOne(req.Name, appliedNodes)
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	n := e.nodes[id]
	if n != nil && n.release != nil {
		defer e.mu.Unlock()
		return e.approveRemoval(n, req)
	}
	if n == nil {
		e.mu.Unlock()
		return "", refusal.NotFound("%s is not in the configuration any more", id)
	}
	pending := n.view.Approval
	switch {
	case pending == "":
		err = refusal.Conflict("%s waits for no approval", id)
	case req.Digest != "" && req.Digest != pending:
		err = refusal.Conflict("%s waits for the approval of %s, not of %s: what would be deleted has changed, look at it again",
			id, pending, req.Digest)
	default:
		n.sync.record.Approved = pending
		e.publish(n, eventApproved, fmt.Sprintf("%s approved the deletion of %s", req.By, pending))
	}
	e.mu.Unlock()
	if err != nil {
		return "", err
	}
	e.recorder.mark(id)
	e.trigger(id, sched.Interactive)
	return pending, nil
}

// Sync has syncs and releases run now, with the newest revisions of their
// sources, and returns their ids without waiting. The name of a source means
// what takes files of it, that of an image automation means itself.
func (e *Engine) Sync(_ context.Context, req SyncRequest) ([]string, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	ids, err := e.syncTargets(req.Names)
	if err != nil {
		return nil, err
	}
	e.forgive(ids, len(req.Names) > 0)
	for _, id := range slices.Concat(e.sourcesOf(ids), ids) {
		e.trigger(id, sched.Interactive)
	}
	return ids, nil
}

// forgive has releases tried again that were given up: somebody asks for it. Those
// that are to be uninstalled go at once if they are asked for by name.
func (e *Engine) forgive(ids []string, byName bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range ids {
		n := e.nodes[id]
		if n == nil || n.release == nil {
			continue
		}
		n.release.forgive = true
		if l := n.release.leaving; l != nil && byName {
			asked := *l
			asked.After = time.Time{}
			n.release.leaving = &asked
		}
	}
}

// syncTargets resolves names of syncs, sources and image automations to what is
// to run.
func (e *Engine) syncTargets(names []string) ([]string, error) {
	if len(names) == 0 {
		return e.resolveNames(nil, appliedNodes)
	}
	ids, err := e.resolveNames(names, stoppable)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var syncs []string
	for _, id := range ids {
		if n := e.nodes[id]; n == nil || n.source == nil {
			syncs = append(syncs, id)
		} else if e.graph != nil {
			syncs = append(syncs, e.graph.Dependents(id)...)
		}
	}
	slices.Sort(syncs)
	return slices.Compact(syncs), nil
}

// sourcesOf returns the sources of syncs and image automations, each once.
func (e *Engine) sourcesOf(ids []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var sources []string
	for _, id := range ids {
		n := e.nodes[id]
		if n != nil && n.automation != nil {
			n = e.nodes[n.automation.cfg.Target]
		}
		if n != nil {
			sources = append(sources, n.sources()...)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources)
}
