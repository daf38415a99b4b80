package release

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// act does what was decided, and notes it.
func (n *run) act(ctx context.Context) error {
	d := n.decision
	began := n.r.now()
	n.hideInstalled(ctx)
	var err error
	switch d.Action {
	case ActInstall, ActUpgrade, ActAdopt:
		err = n.upgrade(ctx, d.Action)
	case ActUnlock:
		err = n.unlock(ctx)
	case ActRollback:
		err = n.rollback(ctx, d.back)
	case ActUninstall:
		err = n.uninstall(ctx)
	case ActMove:
		err = n.move(ctx)
	case ActTest:
		err = n.test(ctx)
	case ActCompare:
		return n.compare(ctx, false) // nothing to tell: it changes nothing
	case ActCorrect:
		err = n.compare(ctx, true)
	default:
		err = fmt.Errorf("there is no action %q", d.Action)
	}
	step := Step{State: d.State, Action: d.Action, Reason: d.Reason, At: began, Took: Duration(n.r.now().Sub(began))}
	if err != nil {
		step.Error = n.words(n.values.located(err))
	}
	n.steps = append(n.steps, step)
	n.r.log.DebugContext(ctx, "release", "release", refString(n.s.Ref), "action", string(d.Action), "reason", d.Reason, "error", step.Error)
	return err
}

// bounded is ctx for one operation, whose waits have a timeout of their own.
func bounded(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	limit := 2*timeout + time.Minute
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %s, twice the timeout and a minute", limit))
}

func (n *run) event(e helm.Event) {
	e.Message = n.clean(e.Message)
	n.last = e
	n.tell(Progress{Event: e, Chart: n.chart.info})
}

// helmRelease is the release as a plugin takes it.
func (n *run) helmRelease(dir string) helm.Release {
	s := n.s
	return helm.Release{
		Ref: s.Ref, Chart: dir, Values: n.values.secret(), ReuseValues: s.ReuseValues,
		Timeout: s.timeout(), Wait: s.Wait, WaitForJobs: s.WaitForJobs, DisableHooks: s.DisableHooks,
		MaxHistory: s.MaxHistory, CRDs: s.CRDs,
		Force: s.Force, TakeOwnership: s.TakeOwnership, CreateNamespace: s.CreateNamespace,
		SkipSchema: s.SkipSchema, SkipOpenAPI: s.SkipOpenAPI,
		Owner: s.Owner, Digest: n.wanted.Digest.String(),
	}
}

// upgrade installs or upgrades the release. What fails counts as an attempt if
// Helm has recorded it, unless it was interrupted.
func (n *run) upgrade(ctx context.Context, action Action) error {
	dir, err := n.pull(ctx)
	n.wanted.Chart = n.chart.info
	if err != nil {
		n.say(PhaseChartFetchFailed, n.words(err))
		return err
	}
	if !n.chart.remembered {
		n.say(PhaseChartFetched, fmt.Sprintf("chart %s %s", n.chart.info.Name, n.chart.info.Version))
	}
	n.rec = n.rec.aim(n.wanted.Digest.String())
	n.rec = n.rec.own(n.s, n.seen.Others).hold(n.values.secrets())
	phase, release := PhaseUpgrading, n.helmRelease(dir)
	if action == ActInstall {
		phase = PhaseInstalling
	}
	release.Adopt = action == ActAdopt
	n.say(phase, n.decision.Reason)
	operation, cancel := bounded(ctx, n.s.timeout())
	defer cancel()
	var rev helm.Revision
	err = n.marked(ctx, n.s.Ref, func() (err error) {
		rev, err = n.h.Helm.Upgrade(operation, release, n.event)
		return err
	})
	n.changed()
	if err = n.inTime(ctx, err, n.s.timeout()); err != nil {
		text := n.words(n.values.located(err))
		n.afterFailure(ctx, text)
		n.say(PhaseDeployFailed, text)
		return err
	}
	n.h.Observer.learned(n.s.Ref, rev)
	n.seen.Revision = rev
	n.compared = true // as of now
	n.say(PhaseDeployed, fmt.Sprintf("revision %d", rev.Number))
	return nil
}

// changed forgets what was known of the release.
func (n *run) changed() {
	n.compared, n.drift = false, nil
	n.h.Observer.Changed(n.s.Ref)
}

// afterFailure counts a failed attempt.
func (n *run) afterFailure(ctx context.Context, why string) {
	if ctx.Err() != nil {
		return
	}
	rev, err := n.h.Observer.Fresh(ctx, n.s.Ref)
	if err != nil { // the next look will tell
		return
	}
	n.seen.Revision = rev
	if rev.Status == failed && rev.Digest == n.rec.Digest {
		n.attempted(why)
	}
}

// attempted counts what has failed.
func (n *run) attempted(why string) {
	n.rec.Attempts++
	n.rec.Why = why
	n.rec.RetryAt = n.later(n.rec.Attempts)
}

// later is when to try again after that many failures.
func (n *run) later(failures int) time.Time {
	return n.r.now().Add(sched.Backoff{}.Delay(failures, rand.Float64()))
}

func (n *run) unlock(ctx context.Context) error {
	n.say(PhaseUnlocking, n.decision.Reason)
	rev, err := n.h.Helm.Unlock(ctx, n.s.Ref)
	n.changed()
	if err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	n.r.marks.clear(n.h.Name, n.s.Ref)
	if rev.Number > 0 {
		n.h.Observer.learned(n.s.Ref, rev)
	}
	return nil
}

func (n *run) marked(ctx context.Context, ref helm.ReleaseRef, do func() error) error {
	return n.r.marked(ctx, *n.h, ref, do)
}

// marked does what locks the release: the mark stays until it is seen that it is
// not locked any more.
func (r *Runner) marked(ctx context.Context, h Host, ref helm.ReleaseRef, do func() error) error {
	if err := r.marks.set(h.Name, ref); err != nil {
		return err
	}
	err := do()
	h.Observer.Changed(ref)
	ended := err == nil || errors.Is(err, helm.ErrLocked) // or was refused: the lock is another's
	if !ended {
		rev, statusErr := h.Observer.Fresh(ctx, ref)
		ended = statusErr == nil && !isLocked(rev.Status)
	}
	if ended {
		r.marks.clear(h.Name, ref)
	}
	return err
}

func (n *run) rollback(ctx context.Context, to int) error {
	r := n.s.Remedy
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = n.s.timeout()
	}
	n.rec = n.rec.aim(n.wanted.Digest.String())
	n.say(PhaseRollingBack, n.decision.Reason)
	operation, cancel := bounded(ctx, timeout)
	defer cancel()
	var rev helm.Revision
	err := n.marked(ctx, n.s.Ref, func() (err error) {
		rev, err = n.h.Helm.Rollback(operation, helm.Rollback{
			Ref: n.s.Ref, To: to, Timeout: timeout, Wait: r.Wait, WaitForJobs: r.WaitForJobs,
			DisableHooks: r.DisableHooks, Force: r.Force, MaxHistory: n.s.MaxHistory,
		}, n.event)
		return err
	})
	n.changed()
	if err = n.inTime(ctx, err, timeout); err != nil {
		interrupted := ctx.Err() != nil || n.r.marks.has(n.h.Name, n.s.Ref)
		if !interrupted {
			n.rec.Undone++
			n.rec.RetryAt = n.later(n.rec.Undone)
		}
		n.say(PhaseRollbackFailed, n.words(err))
		return fmt.Errorf("roll back to revision %d: %w", to, err)
	}
	n.rec.GivenUp, n.rec.RolledBackAt = n.rec.Digest, n.r.now()
	n.rec.Rollbacks++
	n.rec.Rollback = Rollback{Revision: rev.Number, Made: rev.Updated, To: to, Failed: n.rec.Digest}
	n.seen.Revision = rev
	n.h.Observer.learned(n.s.Ref, rev)
	n.compared = true
	n.say(PhaseRolledBack, fmt.Sprintf("revision %d equals revision %d", rev.Number, to))
	return nil
}

// ending is the end of a release, as it is declared.
func (n *run) ending(ref helm.ReleaseRef) helm.Uninstall {
	u := n.s.Uninstall
	return helm.Uninstall{
		Ref: ref, KeepHistory: u.KeepHistory, Timeout: u.Timeout, Wait: u.Wait, DisableHooks: u.DisableHooks, Owner: n.s.Owner,
	}
}

func (n *run) uninstall(ctx context.Context) error {
	n.rec = n.rec.aim(n.wanted.Digest.String())
	n.rec.GivenUp = n.rec.Digest // whatever comes of it: it may be gone and not be told so
	err := n.take(ctx, n.s.Ref)
	n.changed()
	return err
}

// take uninstalls a release of this declaration. Helm forgets a release before it
// has found out that not all of it is gone: nobody can uninstall that again, so
// what it complains of is a warning then.
func (n *run) take(ctx context.Context, ref helm.ReleaseRef) error {
	u := n.ending(ref)
	n.say(PhaseUninstalling, n.decision.Reason)
	timeout := max(u.Timeout, DefaultTimeout)
	operation, cancel := bounded(ctx, timeout)
	defer cancel()
	err := n.marked(ctx, ref, func() error { return n.h.Helm.Uninstall(operation, u, n.event) })
	if err = n.inTime(ctx, err, timeout); errors.Is(err, helm.ErrNotFound) {
		err = nil
	}
	rev, lookErr := n.h.Observer.Fresh(ctx, ref) // listings have it still
	switch {
	case err != nil && (lookErr != nil || exists(rev)):
		return fmt.Errorf("uninstall release %s: %w", refString(ref), err)
	case lookErr != nil:
		return fmt.Errorf("uninstall release %s: whether it is gone: %w", refString(ref), lookErr)
	case err != nil:
		n.warn(fmt.Sprintf("release %s is uninstalled, but not all of it: %s", refString(ref), n.words(err)))
		n.r.log.WarnContext(ctx, "uninstalled, but not all of it", "release", refString(ref), "err", n.words(err))
	}
	n.say(PhaseUninstalled, "release "+refString(ref))
	return nil
}

// move uninstalls what the declaration made under another name, if what takes
// its place can be rendered.
func (n *run) move(ctx context.Context) error {
	dir, err := n.pull(ctx)
	if err != nil {
		return err
	}
	if _, err := n.h.Helm.Plan(ctx, n.helmRelease(dir), func(helm.Change) {}); err != nil {
		return fmt.Errorf("the new release cannot be installed, so the old one stays: %w", err)
	}
	for _, o := range n.seen.Others {
		if err := n.take(ctx, o.Ref); err != nil {
			return err
		}
	}
	return nil
}

// test runs the tests of the newest revision.
func (n *run) test(ctx context.Context) error {
	t, rev := n.s.Test, n.seen.Revision
	timeout := t.Timeout
	if timeout <= 0 {
		timeout = n.s.timeout()
	}
	n.rec = n.rec.aim(n.wanted.Digest.String())
	n.say(PhaseTesting, fmt.Sprintf("revision %d", rev.Number))
	operation, cancel := bounded(ctx, timeout)
	defer cancel()
	err := n.h.Helm.Test(operation, helm.Test{Ref: n.s.Ref, Timeout: timeout, Names: t.Names, Cleanup: t.Cleanup}, n.event)
	n.h.Observer.Changed(n.s.Ref)
	err = n.inTime(ctx, err, timeout)
	if ctx.Err() != nil && err != nil {
		return err
	}
	n.rec.Tests = TestRun{Revision: rev.Number, Deployed: rev.Updated, Failed: err != nil && !t.IgnoreFailures}
	if err == nil {
		n.say(PhaseTested, fmt.Sprintf("revision %d", rev.Number))
		return nil
	}
	n.say(PhaseTestFailed, n.words(err))
	if t.IgnoreFailures {
		n.warn("tests failed, which is to be ignored: " + n.words(err))
		return nil
	}
	n.attempted(n.words(err))
	return err
}

// compare looks at the live objects, and corrects them if asked to.
func (n *run) compare(ctx context.Context, correct bool) error {
	comparer, ok := n.h.Helm.(helm.Comparer)
	if !ok || !n.h.can(helm.CanCompare) {
		n.compared = true
		n.warn("this helm plugin cannot compare live objects with a release: drift is not found")
		return nil
	}
	if correct {
		n.say(PhaseCorrecting, n.decision.Reason)
	}
	var found []helm.Change
	err := comparer.Compare(ctx, helm.Comparison{
		Ref: n.s.Ref, Correct: correct, Ignore: n.s.Drift.Ignore, Fresh: n.h.Asked,
	}, func(c helm.Change) { found = append(found, n.cleanChange(c)) })
	if err != nil {
		return fmt.Errorf("compare live objects: %w", err)
	}
	n.compared = true
	if !correct {
		n.drift = found
		return nil
	}
	n.drift = nil
	for _, c := range found {
		if c.Problem != "" {
			n.drift = append(n.drift, c)
		}
	}
	if len(n.drift) == 0 {
		n.say(PhaseCorrected, n.decision.Reason)
	}
	return nil
}
