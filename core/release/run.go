package release

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// run is one run, plan or rendering of a release.
type run struct {
	r       *Runner
	s       *Spec
	h       *Host
	rec     Record
	tell    func(Progress)
	trees   map[string]Tree
	release []func()

	chart  foundChart
	values *composed
	wanted Wanted

	seen     Seen
	compared bool
	drift    []helm.Change
	decision Decision
	done     map[Action]bool
	steps    []Step
	warnings []string
	warned   bool  // of releases of the same owner
	failure  error // of what was done last, or of what had to be known

	last   helm.Event   // of the operation that goes on
	read   map[int]bool // revisions whose secrets are hidden
	veiled bool         // there are secrets that nobody can tell
	hidden []string     // what no text may hold, longest first
	censor *strings.Replacer
}

func (r *Runner) begin(s *Spec, h *Host, rec Record, tell func(Progress)) *run {
	if tell == nil {
		tell = func(Progress) {}
	}
	if h.Asked {
		h.Observer.Changed(s.Ref)
	}
	return &run{r: r, s: s, h: h, rec: rec.sane(r.now()), tell: tell, trees: map[string]Tree{}, done: map[Action]bool{}, read: map[int]bool{}}
}

// end lets go of what the run has held.
func (n *run) end() {
	for _, release := range slices.Backward(n.release) {
		release()
	}
}

// Run makes the release as s says, as far as one run may: each kind of action
// happens once at most, so that what fails is tried again by a later run.
// tell is called from Run's goroutine and may be nil. Errors are in the Report.
//
// If ctx ends, so does what is being done, and the Report's Err is its cause.
func (r *Runner) Run(ctx context.Context, s Spec, h Host, rec Record, tell func(Progress)) (Report, Record) {
	n := r.begin(&s, &h, rec, tell)
	defer n.end()
	n.failure = n.pursue(ctx)
	return n.report(ctx), n.rec
}

// pursue looks, decides and acts until there is nothing left to do. The error
// is that of the last action that failed.
func (n *run) pursue(ctx context.Context) (failure error) {
	if err := n.prepare(ctx); err != nil {
		n.unknown(err)
		return err
	}
	for {
		if err := n.look(ctx); err != nil {
			n.unknown(err)
			return errors.Join(failure, err)
		}
		n.decision = Decide(*n.s, n.wanted, n.seen, n.rec, n.r.now())
		switch a := n.decision.Action; {
		case a == ActNone, a == ActWait, a == ActRefuse, n.done[a]:
			return failure
		default:
			n.done[a] = true
		}
		switch err := n.act(ctx); {
		case err != nil:
			failure = err
		case n.decision.Action.makes(): // whatever failed before is mended
			failure = nil
		}
		if ctx.Err() != nil {
			return failure
		}
	}
}

func (n *run) unknown(err error) {
	n.decision = Decision{State: Unknown, Action: ActNone, Reason: "It cannot be told how the release stands: " + n.words(err) + "."}
}

// prepare finds out what the release is to be made from.
func (n *run) prepare(ctx context.Context) error {
	if err := n.find(ctx); err != nil {
		n.say(PhaseChartFetchFailed, n.words(err))
		return err
	}
	reading := &reading{s: n.s, h: n.h, fetch: n.r.fetch, chart: n.pull, trees: n.tree, warn: n.warn}
	c, err := reading.compose(ctx)
	if err != nil {
		return err
	}
	n.values = c
	n.hide(c.secretTexts()...)
	n.wanted = Wanted{Digest: digestOf(n.s, n.chart.chart.Digest, c.json), Chart: n.chart.info}
	return nil
}

// tree returns the newest tree of a source, the same one for the whole run.
func (n *run) tree(ctx context.Context, source string) (Tree, error) {
	if t, ok := n.trees[source]; ok {
		return t, nil
	}
	t, err := n.h.Tree(ctx, source)
	if err != nil {
		return Tree{}, err
	}
	n.trees[source] = t
	if t.Release != nil {
		n.release = append(n.release, t.Release)
	}
	return t, nil
}

func (n *run) warn(text string) { n.warnings = append(n.warnings, text) }

// say tells a phase.
func (n *run) say(phase Phase, text string) {
	p := Progress{Phase: phase, Text: text, Chart: n.chart.info, Revision: n.cleanRevision(n.seen.Revision)}
	n.tell(p)
}

// report sums the run up, and prepares the record for the next one.
func (n *run) report(ctx context.Context) Report {
	d := n.decision
	rep := Report{
		State: d.State, Action: d.Action, Reason: d.Reason, Refused: d.Action == ActRefuse, Steps: n.steps,
		Chart: n.chart.info, Revision: n.cleanRevision(n.seen.Revision), Drift: n.drift, Warnings: n.warnings,
	}
	if n.done[d.Action] { // and it has not helped
		rep.Action = ActNone
	}
	rep.Err = n.told(n.values.located(n.problem(ctx)))
	if rep.Err != nil {
		rep.Error, rep.Problems, rep.Unblock = rep.Err.Error(), problemsOf(rep.Err), d.unblock()
	}
	n.rec.Last = n.cleanRevision(n.rec.Last)
	n.remember(&rep, ctx.Err() != nil)
	if rep.Changed() {
		if rep.Err == nil {
			n.say(PhaseSucceeded, rep.Reason)
		} else {
			n.say(PhaseFailed, rep.Error)
		}
	}
	return rep
}

// problem is why the release is not as declared.
func (n *run) problem(ctx context.Context) error {
	d := n.decision
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("release %s: %w", refString(n.s.Ref), context.Cause(ctx))
	case d.State == Locked && d.Action == ActWait:
		return nil
	case n.failure != nil && (d.State == RolledBack || d.Action == ActRefuse):
		return sdk.Permanent(fmt.Errorf("%w. %s", n.failure, d.Reason))
	case n.failure != nil:
		return n.failure
	case d.State == RolledBack, d.Action == ActRefuse:
		return sdk.Permanent(n.complaint())
	case d.State == Failed:
		return n.complaint()
	case d.State == Drifted && n.s.Drift.Mode == DriftCorrect:
		return uncorrected(n.drift)
	}
	return nil
}

// complaint is the reason, with what is known of a failure.
func (n *run) complaint() error {
	d, rev := n.decision, n.seen.Revision
	switch {
	case n.rec.Why != "" && (d.State == Failed || d.State == RolledBack):
		return fmt.Errorf("%s It failed so: %s", d.Reason, n.rec.Why)
	case d.State == Failed && rev.Status == failed && rev.Message != "":
		return fmt.Errorf("%s Helm has recorded: %s", d.Reason, rev.Message)
	}
	return errors.New(d.Reason)
}

func uncorrected(drift []helm.Change) error {
	var list []string
	for _, c := range drift {
		list = append(list, objectString(c)+": "+c.Problem)
	}
	return fmt.Errorf("not corrected: %s", strings.Join(list, "; "))
}

// remember prepares the record for the next run and says when that is.
func (n *run) remember(rep *Report, ended bool) {
	now := n.r.now()
	if n.values != nil {
		n.rec.Info = n.chart.info
	}
	if exists(n.seen.Revision) && n.seen.Revision.Owner == n.s.Owner {
		n.rec = n.rec.own(n.s, n.seen.Others)
		if n.values != nil && n.seen.Revision.Digest == n.wanted.Digest.String() {
			n.rec = n.rec.hold(n.values.secrets())
		}
	}
	rep.Again = now.Add(n.s.interval())
	switch {
	case ended:
		rep.Again = now
	case rep.Err == nil:
		n.rec.Failures = 0
		if rep.State == InSync || rep.State == Drifted {
			n.rec = n.rec.Forgive() // and forget: it works
		}
	default:
		n.rec.Failures++
		rep.Again = n.retry(rep.Err, now)
	}
	if a := n.decision.Again; !a.IsZero() && !ended && (rep.State == Locked || n.decision.Action == ActWait || a.Before(rep.Again)) {
		rep.Again = a
	}
}

// retry is when to run again after an error. What does not go away by trying is
// tried at the interval.
func (n *run) retry(err error, now time.Time) time.Time {
	if lasting(err) {
		return now.Add(n.s.interval())
	}
	delay := sched.Backoff{}.Delay(n.rec.Failures, rand.Float64())
	if asked, ok := sdk.RetryDelay(err); ok {
		delay = max(delay, min(asked, time.Hour))
	}
	return now.Add(delay)
}

// lasting reports whether an error stays until somebody changes something.
func lasting(err error) bool {
	if sdk.IsPermanent(err) {
		return true
	}
	if _, ok := errors.AsType[*partError](err); ok { // a Secret may come
		return false
	}
	_, ok := diag.From(err)
	return ok
}
