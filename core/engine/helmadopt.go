package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
)

const defaultReleaseInterval = 5 * time.Minute

// protectSecrets keeps the secrets of releases and mirrors out of what plugins
// say.
func (c *candidate) protectSecrets() {
	for _, r := range c.cfg.Releases {
		c.host.Protect(r.Secrets()...)
	}
	for _, m := range c.cfg.Mirrors {
		c.host.Protect(m.Secrets()...)
	}
}

// compareHelm gives n the declaration h.
func (e *Engine) compareHelm(h config.Helm, n *node) {
	if n.helm == nil {
		n.helm = &helmNode{slots: sched.NewSlots(helmSlots, helmPatience)}
	}
	n.helm.cfg = h
	if n.handle == nil {
		n.helm.observer = nil
	}
}

// compareRelease gives n the declaration r.
func (e *Engine) compareRelease(ch *change, r config.Release, n *node) {
	d := declare.Block(r)
	switch {
	case n.release == nil:
		e.recallRelease(n, d)
	case n.release.leaving != nil || n.release.declared.Key != d.Key:
		ch.changed = append(ch.changed, r.Address)
	}
	n.release.declared, n.release.leaving, n.view.Approval = d, nil, ""
	n.view.DependsOn = n.needs()
}

// reopen has a node that c does not declare open its instance anew, if that was
// opened by another host or for another mirror. e.mu is held.
func (e *Engine) reopen(ch *change, c *candidate, n *node) {
	if e.running.host == c.host && (n.source == nil || e.running.mirrors.Equal(c.mirrors)) {
		return
	}
	ch.changed = append(ch.changed, n.id)
	if n.handle != nil {
		ch.close = append(ch.close, n.handle)
		n.handle = nil
	}
	if n.isHelm() {
		n.helm.observer = nil
	}
}

// keepCharts takes over the sources of charts that no block declares: who needs
// them stays as well. e.mu is held.
func (e *Engine) keepCharts(ch *change, c *candidate) {
	for id, n := range e.nodes {
		if n.source == nil || n.source.charts == nil {
			continue
		}
		for _, other := range ch.nodes {
			if other.release != nil && slices.Contains(other.release.declared.Sources(), id) {
				ch.nodes[id] = n
			}
		}
		if ch.nodes[id] != nil {
			e.reopen(ch, c, n)
		}
	}
}

// unseen reports whether id is of what only a look at a cluster shows, and that
// look has not been yet.
func (e *Engine) unseen(id string) bool {
	ref := resource.ApplierOf(id)
	if ref == "" {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		if n.isHelm() && n.helm.cfg.Resources && nameOf(n.helm.cfg.Applier) == ref {
			return true
		}
	}
	return false
}

// sources are those that n takes files from.
func (n *node) sources() []string {
	switch {
	case n.sync != nil:
		return []string{n.sync.cfg.Source}
	case n.release != nil:
		return n.release.declared.Sources()
	}
	return nil
}

// failTasks ends what waits to be done by hand with a release that is gone.
func (r *releaseNode) failTasks() {
	r.asked.Finish(errors.New("the release is not declared any more"))
}

// sortedNodes are nodes in the order of their ids.
func sortedNodes(nodes map[string]*node) []*node {
	return slices.SortedFunc(maps.Values(nodes), func(a, b *node) int { return cmp.Compare(a.id, b.id) })
}

// pemFile keeps a certificate or its key in a file, for plugins that read one, and
// returns its path.
func (e *Engine) pemFile(text string) string {
	dir := filepath.Join(e.dataDir, "certificates")
	path := filepath.Join(dir, digest.Of(text)+".pem")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		e.log.Error("cannot keep the certificates of a mirror", "err", err)
	}
	return path
}

// named says of an error which repository it is about, where no block does, and
// that it was read from a mirror.
func (s *sourceNode) named(cfg config.PluginConfig, err error) error {
	switch {
	case s.charts != nil:
		return explained(s.charts, s.mirror, err)
	case s.mirror == "":
		return located(cfg, err)
	}
	standsIn := fmt.Sprintf("%s stands in for %s", s.mirror, s.original)
	err = located(cfg, err)
	if placed, ok := errors.AsType[*placedError](err); ok {
		for i, d := range placed.problems {
			placed.problems[i].Detail = strings.TrimSpace(d.Detail + "\n" + standsIn)
		}
	}
	return fmt.Errorf("%w (%s)", err, standsIn)
}
