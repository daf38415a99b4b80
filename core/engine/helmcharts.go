package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// A repository that only custom resources name has a source of its own, shared
// by all that name it: charts change rarely.
const (
	chartsInterval = 5 * time.Minute
	chartsTimeout  = 5 * time.Minute
)

// chartSource is what only the source of charts has that no block declares.
type chartSource struct {
	git     resource.Git
	applier string // that keeps git.Secret
	tag     bool   // git.Ref is looked for among the tags
}

// placeCharts gives each release that names the repository of its chart a
// source: a declared one of the same repository, or one of its own. It returns
// the sources that are to run, and drops those that nobody needs any more. e.mu
// is held.
func (e *Engine) placeCharts() (added []string) {
	used, declared := map[string]bool{}, declaredRepositories(e.nodes)
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil || n.release.declared.Resource == nil || n.release.declared.Resource.Git == nil || n.release.declared.Err != nil {
			continue
		}
		d := &n.release.declared
		git := *d.Resource.Git
		id := declaredSource(declared, git, e.chartsOf(d.Helm))
		if id == "" {
			id = chartSourceID(git, d.Applier)
			if e.nodes[id] == nil {
				e.nodes[id] = newChartSource(id, git, d.Applier)
				added = append(added, id)
			}
		}
		used[id] = true
		d.Spec.Chart.Tree = &release.TreeChart{Source: id, Path: git.Path}
	}
	for id, n := range e.nodes {
		if n.source != nil && n.source.charts != nil && !used[id] {
			e.dropSource(n)
		}
	}
	return added
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

// declaredRepository is the repository of a source that a block declares.
type declaredRepository struct {
	id, original             string
	URL, Branch, Tag, Commit string
	private                  bool // it has credentials
}

// declaredRepositories are those of the nodes, in order.
func declaredRepositories(nodes map[string]*node) []declaredRepository {
	var list []declaredRepository
	for _, n := range sortedNodes(nodes) {
		if n.source == nil || n.source.charts != nil || n.plugin.Type != "git" {
			continue
		}
		cfg := struct {
			declaredRepository
			Auth, SSH, TLS json.RawMessage
		}{}
		if json.Unmarshal(n.plugin.JSON, &cfg) != nil {
			continue
		}
		repository := cfg.declaredRepository
		repository.id, repository.original = n.id, n.source.original
		repository.private = slices.ContainsFunc([]json.RawMessage{cfg.Auth, cfg.SSH, cfg.TLS}, func(block json.RawMessage) bool {
			return len(block) > 0 && string(block) != "null"
		})
		list = append(list, repository)
	}
	return list
}

// declaredSource finds a declared source of the repository and the ref. One that
// has credentials is not lent to whoever may write a resource, unless it is the
// one that is offered.
func declaredSource(declared []declaredRepository, git resource.Git, offered string) string {
	for _, d := range declared {
		if d.private && d.id != offered {
			continue
		}
		if (mirror.Same(d.URL, git.URL) || mirror.Same(d.original, git.URL)) && (d.Branch == git.Ref || d.Tag == git.Ref || d.Commit == git.Ref) {
			return d.id
		}
	}
	return ""
}

// chartSourceID is the whole of a digest: who may write a resource must not find
// another one's repository under the same name.
func chartSourceID(git resource.Git, applier string) string {
	who := ""
	if git.Secret != nil {
		who = applier
	}
	return "source.git.charts-" + fingerprint(git.URL, git.Ref, git.Secret, who)
}

// named says of an error which repository it is about. Who wrote a resource has
// no block to look at.
func (c *chartSource) named(mirrored string, err error) error {
	where := "git repository " + c.git.URL
	if mirrored != "" {
		where += fmt.Sprintf(" (%s stands in for it)", mirrored)
	}
	cause := unnamed(err)
	if _, refused := diag.From(err); refused && mirrored == "" && mirror.IsSSH(c.git.URL) {
		cause = fmt.Errorf("over ssh it takes a key, which a resource cannot name. Declare source \"git\" \"NAME\" { url = %q, branch = %q, ssh { ... } } "+
			"and offer it to resources, by charts = source.git.NAME in the helm block; or have a mirror block stand in for it: %w", c.git.URL, c.git.Ref, cause)
	}
	return &placedError{text: where + ": " + oneLine(cause), cause: err}
}

func newChartSource(id string, git resource.Git, applier string) *node {
	plugin := config.PluginConfig{Kind: "source", Type: "git"}
	n := &node{id: id, plugin: &plugin, view: Node{ID: id, State: Waiting, Reason: "for its first run", Since: now(), Declared: git.URL}}
	n.source = &sourceNode{
		cfg: config.Source{
			Block:    config.Block{Address: id, Type: "git", Name: nameOf(id)},
			Interval: chartsInterval, Timeout: chartsTimeout, Plugin: plugin,
		},
		charts: &chartSource{git: git, applier: applier},
	}
	return n
}

// commitID is a full hash.
var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// chartsConfig is the configuration of the git plugin for a source of charts,
// with the credentials as they are now.
func (e *Engine) chartsConfig(ctx context.Context, id string, c chartSource) (json.RawMessage, error) {
	cfg := map[string]any{"url": c.git.URL}
	switch {
	case commitID.MatchString(c.git.Ref):
		cfg["commit"] = c.git.Ref
	case c.tag:
		cfg["tag"] = c.git.Ref
	case c.git.Ref != "":
		cfg["branch"] = c.git.Ref
	}
	if s := c.git.Secret; s != nil {
		auth := map[string]string{}
		e.mu.Lock()
		at := e.nodes[c.applier]
		e.mu.Unlock()
		for _, key := range []string{"username", "password"} {
			value, err := e.readSecretFor(ctx, at, applier.SecretRef{Namespace: s.Namespace, Name: s.Name, Key: key})
			if err != nil {
				return nil, fmt.Errorf("the credentials of the chart's repository, %s of secret %s/%s: %w", key, s.Namespace, s.Name, err)
			}
			auth[key] = value.Reveal()
		}
		cfg["auth"] = auth
	}
	text, err := json.Marshal(cfg)
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
	if n.source.tree != nil || c.git.Ref == "" || commitID.MatchString(c.git.Ref) {
		return
	}
	if c.tag = !c.tag; c.tag {
		e.triggerLocked(n.id, sched.Webhook) // only when both have failed is it worth waiting
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
