package byhand_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

var (
	ref     = helm.ReleaseRef{Namespace: "shop", Name: "web"}
	third   = helm.Revision{Number: 3, Status: "deployed", Owner: "release.web"}
	errDown = errors.New("down")
)

// cluster is a Helm with one release.
type cluster struct {
	helm.Helm // what operations by hand do not need

	newest  helm.Revision
	down    error // instead of an operation
	unknown error // instead of a look
	lost    error // from the operation on
	did     any
	history []helm.Revision
}

func (c *cluster) History(_ context.Context, _ helm.ReleaseRef, emit func(helm.Revision)) error {
	for _, rev := range append([]helm.Revision{c.newest}, c.history...) {
		emit(rev)
	}
	return nil
}

func (c *cluster) Status(context.Context, helm.ReleaseRef) (helm.Revision, error) {
	return c.newest, c.unknown
}

func (c *cluster) Rollback(_ context.Context, r helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	emit(helm.Event{Message: "rolling back"})
	if c.unknown = c.lost; c.down != nil {
		return helm.Revision{}, c.down
	}
	c.did = r
	c.newest = helm.Revision{Number: c.newest.Number + 1, Chart: "web-1.0.0", Owner: c.newest.Owner}
	return c.newest, nil
}

func (c *cluster) Test(_ context.Context, t helm.Test, _ func(helm.Event)) error {
	c.did = t
	return c.down
}

func (c *cluster) Uninstall(_ context.Context, u helm.Uninstall, _ func(helm.Event)) error {
	if c.down == nil {
		c.did, c.newest = u, helm.Revision{}
	}
	return c.down
}

// of is a release of c whose spec is not the zero one.
func of(c *cluster) byhand.Release {
	return byhand.Release{
		Ref: ref, Owners: []string{"release.web"}, Host: release.Host{Helm: c, Observer: release.NewObserver(c, release.ObserverOptions{})},
		Spec: release.Spec{Timeout: time.Minute, Wait: helm.WaitReady, WaitForJobs: true, MaxHistory: 7, Test: &release.Test{Cleanup: true}},
	}
}

func TestDo(t *testing.T) {
	tests := map[string]struct {
		op      byhand.Operation
		cluster cluster
		did     any
		text    string
		err     error
		log     []string // how the next runs are kept from undoing it
		found   release.Report
	}{
		"a rollback": {
			op:  byhand.Operation{Kind: byhand.Rollback, Revision: 2, Force: true},
			did: helm.Rollback{Ref: ref, To: 2, Timeout: time.Minute, Wait: helm.WaitReady, WaitForJobs: true, MaxHistory: 7, Force: true}, text: "rolled back to web-1.0.0, which is revision 4",
			log: []string{"hold"}, found: release.Report{State: release.OutOfSync, Action: release.ActNone, Reason: "It was rolled back by hand.", Revision: helm.Revision{Number: 4, Chart: "web-1.0.0", Owner: "release.web"}},
		},
		"one that nobody waits for": {
			op:  byhand.Operation{Kind: byhand.Rollback, NoWait: true, Timeout: time.Hour},
			did: helm.Rollback{Ref: ref, To: 1, Timeout: time.Hour, Wait: helm.WaitHooks, MaxHistory: 7}, text: "rolled back to web-1.0.0, which is revision 4",
			log: []string{"hold"}, found: release.Report{State: release.OutOfSync, Action: release.ActNone, Reason: "It was rolled back by hand.", Revision: helm.Revision{Number: 4, Chart: "web-1.0.0", Owner: "release.web"}},
		},
		"tests": {
			op:  byhand.Operation{Kind: byhand.Test, Tests: []string{"smoke"}},
			did: helm.Test{Ref: ref, Timeout: time.Minute, Names: []string{"smoke"}, Cleanup: true}, text: "the tests have passed",
			found: release.Report{State: release.InSync, Revision: third},
		},
		"an end": {
			op:  byhand.Operation{Kind: byhand.Uninstall, KeepHistory: true},
			did: helm.Uninstall{Ref: ref, KeepHistory: true, Timeout: time.Minute, Wait: true, Owner: "release.web"}, text: "uninstalled web from shop",
			log: []string{"hold"}, found: release.Report{State: release.Absent, Action: release.ActNone, Reason: "It was uninstalled by hand."},
		},
		"nothing that came of it": {
			op: byhand.Operation{Kind: byhand.Uninstall}, cluster: cluster{down: errDown}, err: errDown, text: "uninstalled web from shop",
			log: []string{"hold", "lift"}, found: release.Report{State: release.InSync, Revision: third},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := &tt.cluster
			c.newest, c.history = third, []helm.Revision{{Number: 2, Status: "failed"}, {Number: 1, Status: "superseded"}}
			var log, told []string
			hold := func() (func(), error) {
				log = append(log, "hold")
				return func() { log = append(log, "lift") }, nil
			}
			task := byhand.NewTask(tt.op, nil)
			if err := task.Do(t.Context(), of(c), hold, func(p release.Progress) { told = append(told, strings.TrimSpace(string(p.Phase)+" "+p.Text)) }); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if tt.op.Kind == byhand.Rollback && !slices.Equal(told, []string{"RollingBack", "RollingBack rolling back"}) {
				t.Errorf("told %q", told)
			}
			if diff := cmp.Diff(tt.did, c.did); diff != "" {
				t.Error(diff)
			}
			if task.Text() != tt.text || !slices.Equal(log, tt.log) {
				t.Errorf("said %q and did %q; want %q and %q", task.Text(), log, tt.text, tt.log)
			}
			found, ok := task.Found(release.Report{State: release.InSync, Revision: helm.Revision{Number: 2}})
			if diff := cmp.Diff(tt.found, found); diff != "" || !ok {
				t.Errorf("%t %s", ok, diff)
			}
		})
	}
}

// TestCheck: what is not there, or not the declaration's, is refused before
// anything happens.
func TestCheck(t *testing.T) {
	past := []helm.Revision{{Number: 2, Status: "failed"}, {Number: 1, Status: "superseded"}}
	tests := map[string]struct {
		op   byhand.Operation
		c    cluster
		want error
		text string
		back int
	}{
		"of somebody else":      {byhand.Operation{Kind: byhand.Uninstall}, cluster{newest: helm.Revision{Number: 3, Owner: "other"}}, refusal.ErrConflict, "release shop/web belongs to other: it is left alone", 0},
		"of nobody":             {byhand.Operation{Kind: byhand.Test}, cluster{newest: helm.Revision{Number: 3}}, refusal.ErrConflict, "nobody declares it", 0},
		"not there":             {byhand.Operation{Kind: byhand.Uninstall}, cluster{}, refusal.ErrNotFound, "there is no release shop/web", 0},
		"not known":             {byhand.Operation{Kind: byhand.Uninstall}, cluster{unknown: errDown}, errDown, "release shop/web: down", 0},
		"back to what is there": {byhand.Operation{Kind: byhand.Rollback, Revision: 2}, cluster{newest: third, history: past}, nil, "", 2},
		"back to the good one":  {byhand.Operation{Kind: byhand.Rollback}, cluster{newest: third, history: past}, nil, "", 1},
		"back to nowhere":       {byhand.Operation{Kind: byhand.Rollback, Revision: 77}, cluster{newest: third, history: past}, refusal.ErrNotFound, "release shop/web has no revision 77", 0},
		"back from the first":   {byhand.Operation{Kind: byhand.Rollback}, cluster{newest: third}, refusal.ErrNotFound, "no earlier revision", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := tt.op.Check(t.Context(), of(&tt.c))
			if !errors.Is(err, tt.want) || tt.want != nil && !strings.Contains(err.Error(), tt.text) || s.Back.Number != tt.back {
				t.Errorf("%+v with %v; want %v (%s) and back to %d", s, err, tt.want, tt.text, tt.back)
			}
			hold := func() (func(), error) { t.Error("the next runs are kept away"); return func() {}, nil }
			if tt.want == nil {
				return
			}
			if err := byhand.NewTask(tt.op, nil).Do(t.Context(), of(&tt.c), hold, func(release.Progress) {}); !errors.Is(err, tt.want) || tt.c.did != nil {
				t.Errorf("did %v with %v", tt.c.did, err)
			}
		})
	}
}

func TestNothingIsDoneThatCannotBeHeld(t *testing.T) {
	c := &cluster{newest: third}
	task := byhand.NewTask(byhand.Operation{Kind: byhand.Uninstall}, nil)
	hold := func() (func(), error) { return nil, errDown }
	if err := task.Do(t.Context(), of(c), hold, func(release.Progress) {}); !errors.Is(err, errDown) || c.did != nil {
		t.Errorf("did %v with %v", c.did, err)
	}
	if _, ok := task.Found(release.Report{}); ok {
		t.Error("it found what nobody has looked at")
	}
}

// TestUnknownIsHeld: where nobody knows what came of it, the next runs stay away.
func TestUnknownIsHeld(t *testing.T) {
	c := &cluster{newest: third, history: []helm.Revision{{Number: 1, Status: "superseded"}}, down: errDown, lost: errDown}
	hold := func() (func(), error) { return func() { t.Error("it was lifted") }, nil }
	task := byhand.NewTask(byhand.Operation{Kind: byhand.Rollback}, nil)
	if err := task.Do(t.Context(), of(c), hold, func(release.Progress) {}); !errors.Is(err, errDown) {
		t.Error(err)
	}
}

func TestWhoAskedMayGo(t *testing.T) {
	c := &cluster{newest: third, history: []helm.Revision{{Number: 1, Status: "superseded"}}}
	var told int
	task := byhand.NewTask(byhand.Operation{Kind: byhand.Rollback}, func(release.Progress) { told++ })
	do := func() error {
		return task.Do(t.Context(), of(c), func() (func(), error) { return func() {}, nil }, func(release.Progress) {})
	}
	if err := do(); err != nil || told != 2 {
		t.Errorf("told %d steps, %v", told, err)
	}
	task.Leave()
	if err := do(); err != nil || told != 2 {
		t.Errorf("told %d steps after it had left, %v", told-2, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errDown)
	if _, err := task.Wait(ctx); !errors.Is(err, errDown) {
		t.Errorf("it waited on, until %v", err)
	}
	task.Finish(nil)
	task.Finish(errDown)
	if text, err := task.Wait(t.Context()); err != nil || text != "rolled back to web-1.0.0, which is revision 5" {
		t.Errorf("%q %v", text, err)
	}
}

func TestQueue(t *testing.T) {
	var q byhand.Queue
	var tasks []*byhand.Task
	for range 3 {
		tasks = append(tasks, byhand.NewTask(byhand.Operation{}, nil))
		q.Add(tasks[len(tasks)-1])
	}
	if got := q.Next(); got != tasks[0] {
		t.Error("not the first that was asked for")
	}
	q.PutBack(tasks[0])
	if got := q.Next(); got != tasks[0] {
		t.Error("what was put back has lost its place")
	}
	if !q.Withdraw(tasks[1]) || q.Withdraw(tasks[1]) || q.Withdraw(tasks[0]) {
		t.Error("it does not know what waits")
	}
	q.Finish(errDown)
	for i, task := range tasks[2:] {
		if _, err := task.Wait(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("%d: %v", i+2, err)
		}
	}
	if got := q.Next(); got != nil {
		t.Error("what was finished is done")
	}
}

// TestWire: daemons and their clients may be of different versions.
func TestWire(t *testing.T) {
	o := byhand.Operation{
		Name: "web", Kind: byhand.Rollback, Revision: 2, By: "ann", Reason: "broken", DryRun: true, Force: true,
		KeepHistory: true, DisableHooks: true, NoWait: true, Tests: []string{"smoke"}, Timeout: time.Second,
	}
	const want = `{"name":"web","kind":"rollback","revision":2,"by":"ann","reason":"broken","dry_run":true,"force":true,"keep_history":true,"disable_hooks":true,"no_wait":true,"tests":["smoke"],"timeout":1000000000}`
	if got, err := json.Marshal(o); err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
	if got := o.Why(); got != "rollback by hand: broken" {
		t.Errorf("held since %q", got)
	}
	if byhand.Kind("upgrade").Known() || !o.Kind.Known() {
		t.Error("it knows the wrong kinds")
	}
}
