// Package byhand does to releases what people ask for: it rolls them back, runs
// their tests, and uninstalls them.
//
// An Operation is what somebody asks for. It becomes a Task, which waits in a
// Queue until it is its turn, so that it is done beside no run, and tells its
// steps to whoever asked as long as that one listens. Who asked may go: a Task that
// has begun goes on. It is done to a release of the declaration that was asked for,
// and to no other one.
package byhand

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Operation is something that a person does to a release by hand.
type Operation struct {
	Name         string        `json:"name"` // of the release, as people call it
	Kind         Kind          `json:"kind"`
	Revision     int           `json:"revision,omitempty"` // of a rollback: where to; zero: the deployed one before
	By           string        `json:"by"`
	Reason       string        `json:"reason,omitempty"`
	DryRun       bool          `json:"dry_run,omitempty"`
	Force        bool          `json:"force,omitempty"`
	KeepHistory  bool          `json:"keep_history,omitempty"`
	DisableHooks bool          `json:"disable_hooks,omitempty"`
	NoWait       bool          `json:"no_wait,omitempty"`
	Tests        []string      `json:"tests,omitempty"`   // only these hooks; empty: all
	Timeout      time.Duration `json:"timeout,omitempty"` // zero: the release's
}

// Kind is what an Operation does.
type Kind string

// The kinds of operations.
const (
	Rollback  Kind = "rollback"
	Test      Kind = "test"
	Uninstall Kind = "uninstall"
)

// Known reports whether k is the kind of an operation.
func (k Kind) Known() bool { return slices.Contains([]Kind{Rollback, Test, Uninstall}, k) }

// phase is what is told while o is being done.
func (o Operation) phase() release.Phase {
	switch o.Kind {
	case Rollback:
		return release.PhaseRollingBack
	case Test:
		return release.PhaseTesting
	}
	return release.PhaseUninstalling
}

// Undone reports whether the next run of the release would undo what o does.
func (o Operation) Undone() bool { return o.Kind != Test }

// Why says what keeps the next runs from undoing what o does.
func (o Operation) Why() string {
	reason := fmt.Sprintf("%s by hand", o.Kind)
	if o.Reason != "" {
		reason += ": " + o.Reason
	}
	return reason
}

// Task is an Operation that waits for its turn, or has it.
type Task struct {
	Operation
	// Former is the release that it is done to, where that is not the one that is
	// declared now but what the declaration made under an earlier name.
	Former helm.ReleaseRef

	once sync.Once
	done chan struct{}
	err  error // once done is closed
	text string

	revision *helm.Revision // newest afterwards; nil if nobody knows

	telling sync.Mutex
	tell    func(release.Progress) // nil: nobody listens any more
}

// NewTask makes a Task. Its steps are passed to tell, which may be nil, until
// Leave.
func NewTask(o Operation, tell func(release.Progress)) *Task {
	return &Task{Operation: o, tell: tell, done: make(chan struct{})}
}

// Wait waits until t is finished, and returns what was done, for people, and the
// error that it was finished with.
func (t *Task) Wait(ctx context.Context) (text string, err error) {
	select {
	case <-t.done:
		return t.text, t.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// Finish ends the task, whether or not it was done. Only the first call counts.
func (t *Task) Finish(err error) {
	t.once.Do(func() {
		t.err = err
		close(t.done)
	})
}

// Leave has nothing passed on any more once it has returned.
func (t *Task) Leave() {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.tell = nil
}

// say passes a step on to who asked, as long as that one listens.
func (t *Task) say(p release.Progress) {
	t.telling.Lock()
	defer t.telling.Unlock()
	if t.tell != nil {
		t.tell(p)
	}
}

// Text says what Do did, for people.
func (t *Task) Text() string { return t.text }

// Found is what is known of the release after Do, where before is what a run has
// left. ok is false if nobody knows.
func (t *Task) Found(before release.Report) (after release.Report, ok bool) {
	if t.revision == nil {
		return before, false
	}
	after = before
	switch after.Revision = *t.revision; {
	case after.Revision.Number == 0:
		after.State, after.Reason = release.Absent, "It was uninstalled by hand."
	case t.Kind == Rollback:
		after.State, after.Reason = release.OutOfSync, "It was rolled back by hand."
	default:
		return after, true
	}
	// What was wrong with the release was about another revision.
	after.Action, after.Refused, after.Drift = release.ActNone, false, nil
	after.Err, after.Error, after.Problems, after.Unblock = nil, "", nil, ""
	return after, true
}

// Queue is the tasks that wait for one release, in the order in which they were
// asked for. It is not safe for concurrent use.
type Queue struct{ list []*Task }

// Add has t done after all that wait.
func (q *Queue) Add(t *Task) { q.list = append(q.list, t) }

// Next takes the task whose turn it is, nil if there is none.
func (q *Queue) Next() *Task {
	if len(q.list) == 0 {
		return nil
	}
	t := q.list[0]
	q.list = q.list[1:]
	return t
}

// PutBack has t be the next one again.
func (q *Queue) PutBack(t *Task) { q.list = slices.Insert(q.list, 0, t) }

// Withdraw takes out t, and reports whether it was still waiting.
func (q *Queue) Withdraw(t *Task) bool {
	i := slices.Index(q.list, t)
	if i < 0 {
		return false
	}
	q.list = slices.Delete(q.list, i, i+1)
	return true
}

// Finish ends all that wait.
func (q *Queue) Finish(err error) {
	for _, t := range q.list {
		t.Finish(err)
	}
	q.list = nil
}
