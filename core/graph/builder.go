package graph

import (
	"errors"
	"slices"
)

// Builder collects the nodes and edges of a Graph. Its zero value is ready for
// use; it is not safe for concurrent use.
type Builder[V any] struct {
	values map[string]V
	edges  map[string][]string
	errs   []error
}

// Add adds a node. An ID that is added twice keeps its first value, and Build
// fails with a *DuplicateError.
func (b *Builder[V]) Add(id string, value V) {
	if b.values == nil {
		b.values = map[string]V{}
	}
	if _, exists := b.values[id]; exists {
		b.errs = append(b.errs, &DuplicateError{ID: id})
		return
	}
	b.values[id] = value
}

// Depend adds an edge: from depends on to. Nodes may be added after their
// edges; the same edge may be added more than once.
func (b *Builder[V]) Depend(from, to string) {
	if b.edges == nil {
		b.edges = map[string][]string{}
	}
	b.edges[from] = append(b.edges[from], to)
}

// Build returns the graph of all that was added. Its error joins a
// *DuplicateError for each ID added twice, an *UnknownError for each edge
// without a node at one of its ends, and a *CycleError for the circles: at
// least one for each set of nodes that depend on each other.
func (b *Builder[V]) Build() (*Graph[V], error) {
	errs := slices.Clone(b.errs)
	g := &Graph[V]{values: map[string]V{}, down: map[string][]string{}, up: map[string][]string{}}
	for id, v := range b.values {
		g.values[id] = v
	}
	for _, from := range sortedKeys(b.edges) {
		for _, to := range slices.Compact(slices.Sorted(slices.Values(b.edges[from]))) {
			if err := b.check(from, to); err != nil {
				errs = append(errs, err)
				continue
			}
			g.down[from] = append(g.down[from], to)
			g.up[to] = append(g.up[to], from) // sorted, since from ascends
		}
	}
	order, cycles := sortTopologically(sortedKeys(g.values), g.down)
	for _, c := range cycles {
		errs = append(errs, c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	g.order = order
	return g, nil
}

func (b *Builder[V]) check(from, to string) error {
	for _, id := range []string{from, to} {
		if _, ok := b.values[id]; !ok {
			return &UnknownError{From: from, To: to, ID: id}
		}
	}
	return nil
}

// sortTopologically returns ids with dependencies first, by a depth-first walk
// in sorted order, and the circles that the walk ran into.
func sortTopologically(ids []string, down map[string][]string) (order []string, cycles []*CycleError) {
	const (
		open   = 1 // on the path that is being walked
		closed = 2
	)
	state := make(map[string]int, len(ids))
	var path []string
	var visit func(id string)
	visit = func(id string) {
		switch state[id] {
		case closed:
			return
		case open:
			cycles = append(cycles, newCycle(path[slices.Index(path, id):]))
			return
		}
		state[id] = open
		path = append(path, id)
		for _, dep := range down[id] {
			visit(dep)
		}
		path = path[:len(path)-1]
		state[id] = closed
		order = append(order, id)
	}
	for _, id := range ids {
		visit(id)
	}
	return order, cycles
}

// newCycle rotates members so that the smallest comes first, and closes the
// circle.
func newCycle(members []string) *CycleError {
	first := slices.Index(members, slices.Min(members))
	path := slices.Concat(members[first:], members[:first], members[first:first+1])
	return &CycleError{Path: path}
}
