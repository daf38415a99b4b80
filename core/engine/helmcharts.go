package engine

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/charts"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// placeCharts gives each release that names the repository of its chart a
// source: a declared one of the same repository, or one of its own. It returns
// what is to run, new sources and releases that have got another one, and drops
// the sources that nobody needs any more. e.mu is held.
func (e *Engine) placeCharts() (run []string) {
	used, declared := map[string]bool{}, declaredRepositories(e.nodes)
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil || n.release.declared.Resource == nil || n.release.declared.Resource.Git == nil || n.release.declared.Err != nil {
			continue
		}
		d := &n.release.declared
		git := *d.Resource.Git
		id := charts.Declared(declared, git, e.chartsOf(d.Helm))
		if id == "" {
			own := &charts.Source{Git: git, Applier: d.Applier}
			if id = own.ID(); e.nodes[id] == nil {
				e.nodes[id] = newChartSource(own)
				run = append(run, id)
			}
		}
		used[id] = true
		before := d.Spec.Chart.Tree
		d.Spec.Chart.Tree = &release.TreeChart{Source: id, Path: git.Path}
		if before != nil && before.Source != id {
			n.view.DependsOn = n.needs()
			run = append(run, n.id)
		}
	}
	for id, n := range e.nodes {
		if n.source != nil && n.source.charts != nil && !used[id] {
			e.dropSource(n)
		}
	}
	return run
}

// dropSource ends a source that nobody needs any more. e.mu is held.
func (e *Engine) dropSource(n *node) {
	n.source.keep(nil, source.Revision{})
	delete(e.nodes, n.id)
	e.unschedule(n.id)
	e.closeLater(n.handle)
	n.handle = nil
	e.dropRecords(n.id)
}

// chartsOf is the source that a helm's block offers to resources. e.mu is held.
func (e *Engine) chartsOf(helm string) string {
	if h := e.nodes[helm]; h != nil && h.isHelm() {
		return h.helm.cfg.Charts
	}
	return ""
}

// declaredRepositories are those of the sources that blocks declare, in order.
func declaredRepositories(nodes map[string]*node) []charts.Repository {
	var list []charts.Repository
	for _, n := range sortedNodes(nodes) {
		if n.source == nil || n.source.charts != nil {
			continue
		}
		if r, ok := charts.RepositoryOf(n.id, *n.plugin, n.source.original); ok {
			list = append(list, r)
		}
	}
	return list
}

// explained says of an error of a source of charts which repository it is about.
func explained(c *charts.Source, mirrored string, err error) error {
	_, refused := diag.From(err)
	return &placedError{text: c.Explain(unnamed(err), mirrored, refused), cause: err}
}

func newChartSource(c *charts.Source) *node {
	cfg := c.Block()
	return &node{
		id: cfg.Address, plugin: &cfg.Plugin, source: &sourceNode{cfg: cfg, charts: c},
		view: Node{ID: cfg.Address, State: Waiting, Reason: "for its first run", Since: now(), Declared: c.Git.URL},
	}
}

// chartsConfig is the configuration of the git plugin for a source of charts,
// with the credentials as they are now.
func (e *Engine) chartsConfig(ctx context.Context, id string, c charts.Source) (json.RawMessage, error) {
	var auth map[string]string
	if s := c.Git.Secret; s != nil {
		auth = map[string]string{}
		e.mu.Lock()
		at := e.nodes[c.Applier]
		e.mu.Unlock()
		for _, key := range []string{"username", "password"} {
			value, err := e.readSecretFor(ctx, at, applier.SecretRef{Namespace: s.Namespace, Name: s.Name, Key: key})
			if err != nil {
				return nil, fmt.Errorf("the credentials of the chart's repository, %s of secret %s/%s: %w", key, s.Namespace, s.Name, err)
			}
			auth[key] = value.Reveal()
		}
	}
	text, err := c.Config(auth)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	plugin, original, instead := e.running.mirrors.Source(config.PluginConfig{JSON: text}, e.pemFile)
	if n := e.nodes[id]; n != nil && n.source != nil {
		n.source.original, n.source.mirror = original, instead
	}
	return plugin.JSON, nil
}

// tryOtherwise has the next run of a source of charts, which has failed, read
// its credentials again and, if it has never found its ref among the branches,
// look among the tags, and the other way round. e.mu is held.
func (e *Engine) tryOtherwise(n *node) {
	c := n.source.charts
	if c == nil {
		return
	}
	e.closeLater(n.handle)
	n.handle = nil
	if n.source.tree == nil && c.Otherwise() {
		e.triggerLocked(n.id, sched.Webhook)
	}
}

// closeKey begins the pool's keys of instances that are closed.
const closeKey = "close "

// closeLater closes the instance of a node that is gone, beside what holds the
// engine. e.mu is held.
func (e *Engine) closeLater(in instance) {
	if in == nil {
		return
	}
	e.orphans = append(e.orphans, in)
	e.pool.Submit(closeKey, sched.Interval, e.closeOrphans)
}

// closeOrphans closes the instances that no node has any more.
func (e *Engine) closeOrphans(ctx context.Context) {
	e.mu.Lock()
	orphans := e.orphans
	e.orphans = nil
	e.mu.Unlock()
	if err := closeAll(ctx, orphans); err != nil {
		e.log.WarnContext(ctx, "closing what is not needed any more", "err", err)
	}
}
