// Package graph is a generic directed acyclic graph that knows no domain: its
// nodes are IDs with a value, and an edge says that one node depends on
// another.
//
// A Builder collects nodes and edges in any order; Build checks them and
// returns an immutable Graph, which is safe for concurrent use. There is no
// way to remove a node: a changed configuration builds a new graph. Every
// order that the package returns is deterministic, because ties are broken by
// ID.
package graph

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Graph is an immutable DAG. The zero Graph is empty.
type Graph[V any] struct {
	values map[string]V
	down   map[string][]string // ID -> what it depends on, sorted
	up     map[string][]string // ID -> what depends on it, sorted
	order  []string            // dependencies before dependents
}

// CycleError says that nodes depend on each other in a circle.
type CycleError struct {
	// Path leads once around, from an ID back to itself: each element depends
	// on the next. It begins with the smallest ID of the circle.
	Path []string
}

func (e *CycleError) Error() string {
	return "dependency cycle: " + strings.Join(e.Path, " -> ")
}

// UnknownError says that an edge leads to or from an ID that was not added.
type UnknownError struct {
	From, To string // the edge: From depends on To
	ID       string // the one of the two that is missing
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%q depends on %q, but there is no node %q", e.From, e.To, e.ID)
}

// DuplicateError says that an ID was added twice.
type DuplicateError struct{ ID string }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("node %q is declared twice", e.ID)
}

// Len returns the number of nodes.
func (g *Graph[V]) Len() int { return len(g.values) }

// Get returns the value of the node id, and whether there is one.
func (g *Graph[V]) Get(id string) (V, bool) {
	v, ok := g.values[id]
	return v, ok
}

// All walks the nodes in topological order: each one after everything that it
// depends on.
func (g *Graph[V]) All() iter.Seq2[string, V] {
	return g.walk(slices.Values(g.order))
}

// Backward walks the nodes in the opposite order: each one before everything
// that it depends on.
func (g *Graph[V]) Backward() iter.Seq2[string, V] {
	return g.walk(func(yield func(string) bool) {
		for _, id := range slices.Backward(g.order) {
			if !yield(id) {
				return
			}
		}
	})
}

func (g *Graph[V]) walk(ids iter.Seq[string]) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for id := range ids {
			if !yield(id, g.values[id]) {
				return
			}
		}
	}
}

// Dependencies returns the IDs that id depends on directly, sorted.
func (g *Graph[V]) Dependencies(id string) []string { return slices.Clone(g.down[id]) }

// Dependents returns the IDs that depend on id directly, sorted.
func (g *Graph[V]) Dependents(id string) []string { return slices.Clone(g.up[id]) }

// AllDependencies returns everything that id depends on, directly or not, in
// topological order.
func (g *Graph[V]) AllDependencies(id string) []string { return g.reach(id, g.down) }

// AllDependents returns everything that depends on id, directly or not, in
// topological order.
func (g *Graph[V]) AllDependents(id string) []string { return g.reach(id, g.up) }

// reach returns what can be reached from id over edges, without id itself.
func (g *Graph[V]) reach(id string, edges map[string][]string) []string {
	seen := map[string]bool{}
	todo := slices.Clone(edges[id])
	for len(todo) > 0 {
		next := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !seen[next] {
			seen[next] = true
			todo = append(todo, edges[next]...)
		}
	}
	found := make([]string, 0, len(seen))
	for _, id := range g.order {
		if seen[id] {
			found = append(found, id)
		}
	}
	return found
}

// String lists each node with its dependencies, one a line in topological
// order, for tests and logs.
func (g *Graph[V]) String() string {
	var b strings.Builder
	for _, id := range g.order {
		b.WriteString(id)
		if deps := g.down[id]; len(deps) > 0 {
			b.WriteString(" -> " + strings.Join(deps, ", "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
