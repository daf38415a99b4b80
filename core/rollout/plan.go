package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Plan is what a run intends: a value that can be printed, stored and
// compared. A run carries it out and decides nothing more.
type Plan struct {
	Owner    string          `json:"owner"`
	Revision source.Revision `json:"revision"`
	Tree     string          `json:"tree"`
	Wanted   int             `json:"wanted"`   // objects in the load
	Owned    int             `json:"owned"`    // objects that the sync has in the target now
	Complete bool            `json:"complete"` // the load holds everything that is wanted
	Objects  []Object        `json:"objects"`
	Problems []Problem       `json:"problems,omitempty"` // files that were left out
	Prune    []applier.Ref   `json:"prune,omitempty"`    // what will be deleted: the guard let it pass
	Held     Hold            `json:"held,omitempty"`     // why nothing will be deleted, if something could be
	Approval string          `json:"approval,omitempty"` // digest that allows what is held, if a person can

	origin string        // of the owner's objects, as the target recorded it
	other  string        // who applied them last, if that was not the one who asks
	index  map[place]int // of Objects, see find
}

// newPlan asks the target and applies the guard.
func newPlan(ctx context.Context, a applier.Applier, req Request, l *Loaded, diff bool) (*Plan, error) {
	p := &Plan{
		Owner: req.Owner, Revision: req.Revision, Tree: req.Tree,
		Wanted: l.Objects, Complete: l.Complete, Problems: l.Problems,
	}
	set := req.set(l)
	set.Diff = diff
	var mu sync.Mutex
	sum, err := a.Plan(ctx, set, func(c applier.Change) {
		mu.Lock()
		defer mu.Unlock()
		p.Objects = append(p.Objects, planned(c))
	})
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p.Owned, p.origin = sum.Owned, sum.Origin
	if sum.Writer != req.Writer {
		p.other = sum.Writer
	}
	p.guard(req)
	return p, nil
}

// moved tells why objects may have left the load though nobody deleted them:
// they were applied from elsewhere, or it is not known from where.
func (p *Plan) moved(req Request) string {
	switch before := cmp.Or(p.origin, req.Recorded); before {
	case req.Origin:
		return ""
	case "":
		return "it is not known from which source and paths they were applied"
	}
	return "the source or the paths of this sync have changed"
}

// newOrigin is what Apply is to record. While deletions wait, or something is
// left over that a later run may delete, it stays what it was, so that the
// later run still knows of the move.
func (p *Plan) newOrigin(req Request) string {
	if p.Held != "" || p.moved(req) != "" && p.leftovers() {
		return cmp.Or(p.origin, req.Recorded)
	}
	return req.Origin
}

// leftovers reports whether objects are kept that a later run may delete. The
// target does not say for how long it keeps one. A protected kind is deleted
// when a person names it: whoever has approved other deletions since the move
// knows of the move by then.
func (p *Plan) leftovers() bool {
	approved := len(p.Prune) > 0
	return slices.ContainsFunc(p.Objects, func(o Object) bool {
		return o.Action == applier.Kept && (!o.protected || !approved)
	})
}

// mustRecord reports whether the target has another origin on record than it
// should, though nothing else is to be written. A target that records none is
// left in peace.
func (p *Plan) mustRecord(req Request) bool {
	return p.origin != "" && p.origin != p.newOrigin(req)
}

func planned(c applier.Change) Object {
	o := Object{
		Ref: c.Ref, Action: c.Action, Reason: c.Reason, Diff: c.Diff,
		File: c.File, Line: c.Line, protected: c.Protected,
	}
	if c.Action == applier.Refused {
		o.Problem = refusal(c)
	}
	return o
}

func refusal(c applier.Change) *Problem {
	if c.Diagnostic == nil {
		return &Problem{Severity: "error", Summary: c.Reason, File: c.File, Line: c.Line}
	}
	return objectProblem(NewProblem(*c.Diagnostic), c.File, c.Line)
}

// objectProblem adds the object's origin where the diagnostic has no place.
func objectProblem(p Problem, file string, line int) *Problem {
	if p.File == "" {
		p.File, p.Line = file, line
	}
	return &p
}

// Count returns how many objects have the action a.
func (p *Plan) Count(a applier.Action) int {
	n := 0
	for _, o := range p.Objects {
		if o.Action == a {
			n++
		}
	}
	return n
}

// Writes reports whether applying would touch the target: an object differs,
// or one that is as desired is not yet recorded as the owner's.
func (p *Plan) Writes() bool {
	recorded := p.Count(applier.None) + p.Count(applier.Prune) + p.Count(applier.Kept)
	return p.Count(applier.Create)+p.Count(applier.Update)+p.Count(applier.Recreate) > 0 || recorded > p.Owned
}

// Changes reports whether a run would change the target or waits for a person
// to allow it.
func (p *Plan) Changes() bool {
	return p.Writes() || len(p.Prune) > 0 || p.Approval != ""
}

// Emptied reports whether the load is empty and the target is not. That is a
// mistake rather than a wish.
func (p *Plan) Emptied() bool { return p.Wanted == 0 && p.Owned > 0 }

// Failures reports how many files and objects the plan cannot bring to the
// target.
func (p *Plan) Failures() int { return p.Count(applier.Refused) + errorsIn(p.Problems) }

func errorsIn(problems []Problem) int {
	n := 0
	for _, p := range problems {
		if p.Severity == "error" {
			n++
		}
	}
	return n
}
