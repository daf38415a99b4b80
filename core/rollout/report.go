package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Report is what came of one run.
type Report struct {
	Owner    string          `json:"owner"`
	Revision source.Revision `json:"revision"`
	Tree     string          `json:"tree"` // digest of the tree that was loaded
	Started  time.Time       `json:"started"`
	Finished time.Time       `json:"finished"`

	Counts   Counts    `json:"counts"`
	Objects  []Object  `json:"objects,omitempty"`  // in the order of the plan, then what was deleted or kept
	Problems []Problem `json:"problems,omitempty"` // of the load: files that were left out
	Approval string    `json:"approval,omitempty"` // digest to approve, if pruning waits for it
	Held     string    `json:"held,omitempty"`     // why nothing was pruned, if something could have been
	Waited   string    `json:"waited,omitempty"`   // why the wait for ready objects failed
	Error    string    `json:"error,omitempty"`    // why the run as a whole failed

	err     error // what Error tells, with what it wraps
	first   bool  // see First
	arrived bool  // see Arrived
	wrote   bool  // see Wrote
	other   string
}

// Other is who has applied the owner's objects last, before this run, if that was
// not the Request's Writer; "" if it was, or nobody knows.
func (r *Report) Other() string { return r.other }

// Wrote reports whether the run has applied anything, and so has recorded the
// Request's Writer, as far as the target records one.
func (r *Report) Wrote() bool { return r.wrote }

// Err returns why the run as a whole failed, nil if it did not. In a report
// that was stored it has only its text left.
func (r *Report) Err() error {
	if r.err == nil && r.Error != "" {
		return errors.New(r.Error)
	}
	return r.err
}

// Counts sums up a Report.
type Counts struct {
	Wanted    int `json:"wanted"` // objects in the load
	Owned     int `json:"owned"`  // objects that the sync has in the target
	Created   int `json:"created"`
	Updated   int `json:"updated"` // or created anew
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted"`
	Ignored   int `json:"ignored"`          // left alone because somebody asked for it
	Kept      int `json:"kept"`             // no longer wanted, and not deleted
	Failed    int `json:"failed"`           // objects that failed and files that could not be read
	Missed    int `json:"missed,omitempty"` // still to be applied: see Object.Missed
}

// Objects counts objects in words: 1 object, 2 objects.
func Objects(n int) string {
	if n == 1 {
		return "1 object"
	}
	return fmt.Sprintf("%d objects", n)
}

// Changed reports whether the run altered the target.
func (c Counts) Changed() bool { return c.Created+c.Updated+c.Deleted > 0 }

// String sums up the counts for a person, leaving out zeros.
func (c Counts) String() string {
	parts := []string{}
	for _, p := range []struct {
		n    int
		what string
	}{
		{c.Created, "created"}, {c.Updated, "updated"}, {c.Unchanged, "unchanged"}, {c.Deleted, "deleted"},
		{c.Ignored, "ignored"}, {c.Kept, "kept"}, {c.Failed, "failed"}, {c.Missed, "waiting"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "no objects"
	}
	return strings.Join(parts, ", ")
}

// Object is one object of a plan or a report.
type Object struct {
	Ref     applier.Ref     `json:"ref"`
	Action  applier.Action  `json:"action,omitempty"`  // what the plan intends
	Outcome applier.Outcome `json:"outcome,omitempty"` // what became of it
	Reason  string          `json:"reason,omitempty"`
	File    string          `json:"file,omitempty"` // relative to the source's root
	Line    int             `json:"line,omitempty"`
	Diff    string          `json:"diff,omitempty"`
	Health  applier.Health  `json:"health,omitempty"` // after a wait
	Problem *Problem        `json:"problem,omitempty"`

	protected bool // of a kind that is pruned only when named
}

// Origin returns file:line, or "" for an object that no file holds.
func (o Object) Origin() string {
	switch {
	case o.File == "":
		return ""
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}

// Failed reports whether the object could not be brought to what was wanted.
func (o Object) Failed() bool { return o.Problem != nil }

// Missed reports whether a run was to bring the object to what is wanted and
// could not get to it: what it needs is not there yet, or it is being deleted.
// A later run will.
func (o Object) Missed() bool {
	switch o.Action {
	case applier.Ignored, applier.Kept, applier.Prune:
		return false
	}
	return o.Outcome == applier.Skipped && !o.Failed()
}

// Failure says what went wrong with a failed object: its place, its name and
// the problem, each once.
func (o Object) Failure() string {
	text := o.Problem.String()
	if strings.Contains(text, o.Ref.String()) {
		return text
	}
	place := ""
	if p := o.Problem; p.File != "" {
		place = p.Diagnostic().Subject.String() + ": "
	}
	return place + o.Ref.String() + ": " + strings.TrimPrefix(text, place)
}

// Problem is a diagnostic as it is stored and shown.
type Problem struct {
	Severity string `json:"severity"` // error or warning
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`

	// The end of the place, exclusive; 0 where it is not known.
	EndLine   int `json:"end_line,omitempty"`
	EndColumn int `json:"end_column,omitempty"`
}

// NewProblem converts d.
func NewProblem(d diag.Diagnostic) Problem {
	p := Problem{Severity: d.Severity.String(), Summary: d.Summary, Detail: d.Detail}
	if d.Subject != nil {
		p.File, p.Line, p.Column = d.Subject.File, d.Subject.Start.Line, d.Subject.Start.Column
		p.EndLine, p.EndColumn = d.Subject.End.Line, d.Subject.End.Column
	}
	if d.Subject == nil && len(d.Path) > 0 {
		p.Summary = d.Path.String() + ": " + p.Summary
	}
	return p
}

// Diagnostic converts p back, to be shown with the lines of its file.
func (p Problem) Diagnostic() diag.Diagnostic {
	d := diag.Diagnostic{Severity: diag.Error, Summary: p.Summary, Detail: p.Detail}
	if p.Severity == diag.Warning.String() {
		d.Severity = diag.Warning
	}
	if p.File != "" {
		d.Subject = &diag.Range{
			File:  p.File,
			Start: diag.Pos{Line: p.Line, Column: p.Column},
			End:   diag.Pos{Line: p.EndLine, Column: p.EndColumn},
		}
	}
	return d
}

// Problems converts a list.
func Problems(l diag.List) []Problem {
	ps := make([]Problem, 0, len(l))
	for _, d := range l {
		ps = append(ps, NewProblem(d))
	}
	return ps
}

// String returns place: summary: detail.
func (p Problem) String() string {
	s := p.Summary
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.File == "" {
		return s
	}
	r := diag.Range{File: p.File, Start: diag.Pos{Line: p.Line, Column: p.Column}}
	return r.String() + ": " + s
}

// Failures returns the objects that failed.
func (r *Report) Failures() []Object {
	var failed []Object
	for _, o := range r.Objects {
		if o.Failed() {
			failed = append(failed, o)
		}
	}
	return failed
}

// Missed returns the objects that a later run is to apply, in the order in
// which this one came to them.
func (r *Report) Missed() []Object {
	var missed []Object
	for _, o := range r.Objects {
		if o.Missed() {
			missed = append(missed, o)
		}
	}
	return missed
}

// Refused returns the identities of the objects that the target does not take
// at all, such as one of a kind that it does not know. They are wanted, and
// nothing short of another commit or another target will change that.
func (r *Report) Refused() []string {
	var refused []string
	for _, o := range r.Objects {
		if o.Failed() && o.Action == applier.Refused {
			refused = append(refused, o.Ref.Identity().String())
		}
	}
	return refused
}

// First reports whether the sync had nothing in the target before this run: what
// it has there now is of this run's tree. In a report that was stored that is
// not known.
func (r *Report) First() bool { return r.first }

// Arrived reports whether the Request's Origin may be recorded: nothing is left
// over in the target that came from elsewhere and that a later run may delete.
// In a report that was stored that is not known.
func (r *Report) Arrived() bool { return r.arrived }

// Settled reports whether the run has done all that it can do: what the target
// takes stands there, and nothing waits for a better run or for a person to be
// deleted.
func (r *Report) Settled() bool {
	emptied := r.Counts.Wanted == 0 && r.Counts.Kept > 0
	return r.Error == "" && r.Waited == "" && r.Approval == "" && !emptied &&
		r.Counts.Missed == 0 && r.Counts.Failed == len(r.Refused())
}

// Applied reports whether everything that was wanted stands in the target, so
// that what depends on it may go on. Pruning may still wait.
func (r *Report) Applied() bool {
	return r.Error == "" && r.Waited == "" && r.Counts.Failed == 0 && r.Counts.Missed == 0
}
