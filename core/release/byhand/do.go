package byhand

import (
	"context"
	"fmt"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Release is what a Task is done to.
type Release struct {
	Ref    helm.ReleaseRef
	Owners []string     // whose it may be
	Spec   release.Spec // as far as it is declared
	Host   release.Host
}

// Do does t to r, if Check allows it, and is for its owner to finish. Before
// anything that a run would undo, hold has to keep the next runs from that; what it
// returns takes that back, and is called if nothing came of it. tell is told the
// steps, the first of which is that it begins, beside who asked.
func (t *Task) Do(ctx context.Context, r Release, hold func() (lift func(), err error), tell func(release.Progress)) error {
	s, err := t.Check(ctx, r)
	if err != nil {
		return err
	}
	lift := func() {}
	if t.Undone() {
		if lift, err = hold(); err != nil {
			return err
		}
	}
	both := func(p release.Progress) {
		tell(p)
		t.say(p)
	}
	both(release.Progress{Phase: t.phase(), Revision: s.Revision})
	t.text, err = t.operate(ctx, r, s, both)
	r.Host.Observer.Changed(r.Ref)
	t.revision = r.newest(ctx)
	if err != nil && t.revision != nil && s.Revision == *t.revision {
		lift() // nothing was done that a run could undo
	}
	return err
}

// newest is the newest revision as the cluster tells it, nil if it does not.
func (r Release) newest(ctx context.Context) *helm.Revision {
	rev, err := r.Host.Observer.Fresh(ctx, r.Ref)
	if err != nil {
		return nil
	}
	return &rev
}

// operate has Helm do it, and says what it did.
func (t *Task) operate(ctx context.Context, r Release, s Subject, tell func(release.Progress)) (string, error) {
	timeout := t.Timeout
	if timeout == 0 {
		timeout = r.Spec.Timeout
	}
	emit := func(ev helm.Event) { tell(release.Progress{Phase: t.phase(), Text: ev.Message, Event: ev}) }
	switch t.Kind {
	case Rollback:
		back := t.Back(r)
		back.To, back.Timeout = s.Back.Number, timeout
		rev, err := r.Host.Helm.Rollback(ctx, back, emit)
		return fmt.Sprintf("rolled back to %s, which is revision %d", rev.Chart, rev.Number), err
	case Test:
		err := r.Host.Helm.Test(ctx, helm.Test{Ref: r.Ref, Timeout: timeout, Names: t.Tests, Cleanup: r.Spec.Test != nil && r.Spec.Test.Cleanup},
			emit)
		return "the tests have passed", err
	}
	err := r.Host.Helm.Uninstall(ctx, helm.Uninstall{
		Ref: r.Ref, KeepHistory: t.KeepHistory, Timeout: timeout, Wait: !t.NoWait, DisableHooks: t.DisableHooks, Owner: s.Revision.Owner,
	}, emit)
	return fmt.Sprintf("uninstalled %s from %s", r.Ref.Name, r.Ref.Namespace), err
}

// Back is the rollback that o asks for, without a timeout of its own.
func (o Operation) Back(r Release) helm.Rollback {
	return helm.Rollback{
		Ref: r.Ref, To: o.Revision, Wait: o.wait(r.Spec), WaitForJobs: r.Spec.WaitForJobs && !o.NoWait,
		DisableHooks: o.DisableHooks, Force: o.Force, MaxHistory: r.Spec.MaxHistory,
	}
}

func (o Operation) wait(s release.Spec) helm.Wait {
	if o.NoWait {
		return helm.WaitHooks
	}
	return s.Wait
}
