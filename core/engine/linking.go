package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/graph"
	"github.com/sluice-gitops/sluice/core/sched"
)

// needs are the ids of what n depends on.
func (n *node) needs() []string {
	switch {
	case n.sync != nil:
		return slices.Concat(instancesOf(n.sync.cfg), n.sync.cfg.DependsOn)
	case n.automation != nil:
		return []string{n.automation.cfg.Target}
	case n.release != nil && n.release.leaving != nil:
		return []string{n.release.declared.Helm}
	case n.release != nil:
		return slices.Concat(n.release.declared.Instances(), n.release.declared.DependsOn)
	}
	return nil
}

// instances are the nodes whose plugins a run of n uses.
func (n *node) instances() []string {
	switch {
	case n.sync != nil:
		return instancesOf(n.sync.cfg)
	case n.release != nil:
		return n.release.declared.Instances()
	}
	return nil
}

// volatile reports whether n comes and goes while a configuration runs, so that
// nobody has checked what it depends on.
func (n *node) volatile() bool {
	return n.release != nil && (n.release.declared.Block == nil || n.release.leaving != nil)
}

// link builds the graph: an edge for each reference. What a custom resource
// refers to may be missing, and resources may depend on each other in a circle:
// those wait, and say for what.
func link(nodes map[string]*node) (*graph.Graph[*node], error) {
	for _, n := range nodes {
		if n.release != nil {
			n.release.circle = ""
		}
	}
	for {
		g, err := linkOnce(nodes)
		cycle, ok := errors.AsType[*graph.CycleError](err)
		if !ok {
			return g, err
		}
		if !breakCircle(nodes, cycle) {
			return nil, fmt.Errorf("engine: %w", err) // config has checked: a bug there
		}
	}
}

func linkOnce(nodes map[string]*node) (*graph.Graph[*node], error) {
	var b graph.Builder[*node]
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		n := nodes[id]
		b.Add(id, n)
		for _, need := range n.needs() {
			loose := n.volatile() && (nodes[need] == nil || n.release.circle != "" && slices.Contains(n.release.declared.DependsOn, need))
			if !loose {
				b.Depend(id, need)
			}
		}
	}
	return b.Build()
}

// breakCircle makes the resources of a circle wait for nobody, and reports
// whether there was any.
func breakCircle(nodes map[string]*node, cycle *graph.CycleError) bool {
	broken := false
	for _, id := range cycle.Path {
		if n := nodes[id]; n.volatile() && n.release.circle == "" {
			n.release.circle = strings.Join(cycle.Path, " -> ")
			broken = true
		}
	}
	return broken
}

// relink builds the graph anew after nodes came or went. e.mu is held.
func (e *Engine) relink() {
	before := map[*node]string{} // circles
	for _, n := range e.nodes {
		if n.release != nil && n.release.circle != "" {
			before[n] = n.release.circle
		}
	}
	g, err := link(e.nodes)
	if err != nil {
		panic(fmt.Sprintf("engine: what was linked before cannot be linked: %v", err))
	}
	e.graph = g
	for _, n := range e.nodes {
		if n.release != nil && n.release.circle != before[n] {
			e.triggerLocked(n.id, sched.Webhook)
		}
	}
}
