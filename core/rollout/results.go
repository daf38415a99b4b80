package rollout

import (
	"sync"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// results collects objects from several goroutines. Once closed by list it
// takes no more, so that a late emit cannot touch a report.
type results struct {
	mu      sync.Mutex
	objects []Object
	closed  bool
}

func newResults(capacity int) *results {
	return &results{objects: make([]Object, 0, capacity)}
}

// add returns how many objects there are now.
func (r *results) add(o Object) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.objects = append(r.objects, o)
	}
	return len(r.objects)
}

func (r *results) list() []Object {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.objects
}

// find returns the planned object that o is a result of, or nil. Duplicates
// in a load have the same Ref and differ by their place.
func (p *Plan) find(o Object) *Object {
	if p.index == nil {
		p.index = map[place]int{}
		for i, c := range p.Objects {
			p.index[placeOf(c)] = i
		}
	}
	if i, ok := p.index[placeOf(o)]; ok {
		return &p.Objects[i]
	}
	return nil
}

type place struct {
	ref  applier.Ref
	file string
	line int
}

func placeOf(o Object) place { return place{ref: o.Ref.Identity(), file: o.File, line: o.Line} }

// count fills Counts from the objects and problems. Wanted and Owned are the
// run's.
func (r *Report) count() {
	c := Counts{Wanted: r.Counts.Wanted, Owned: r.Counts.Owned, Failed: errorsIn(r.Problems)}
	for _, o := range r.Objects {
		switch {
		case o.Failed():
			c.Failed++
		case o.Missed():
			c.Missed++
		case o.Outcome == applier.Created:
			c.Created++
		case o.Outcome == applier.Updated, o.Outcome == applier.Recreated:
			c.Updated++
		case o.Outcome == applier.Unchanged:
			c.Unchanged++
		case o.Outcome == applier.Deleted:
			c.Deleted++
		case o.Action == applier.Prune, o.Action == applier.Kept:
			c.Kept++
		default:
			c.Ignored++
		}
	}
	r.Counts = c
}
