// Package writeback puts changes into sources: everything that is decided
// about images and policies becomes a commit here.
//
// A Change is one intention of one cause. Submit has it on disk when it
// returns, and from then on it ends in exactly one Outcome, however often the
// process is killed on the way. For each source and branch there is one worker
// at a time. It waits until nothing came for Options.Quiet, takes a tree of the
// source's newest revision, lets Options.Edit turn all pending changes into new
// contents of files, and has the source commit them as one revision.
//
//   - Where files changed meanwhile, the edits are made again on a fresh tree.
//     An edit that cannot be made any more is reported and left out alone.
//   - What has waited may be wanted no more: Options.Admit is asked of every edit
//     that is about to change a file, on the tree that is edited.
//   - Changes that touch the same place wait for each other: the later one goes
//     into the next commit.
//   - A commit holds a bounded number of bytes; what is beyond goes into the next
//     one, at once.
//   - A failure that may pass (a network, a suspended source) keeps the changes;
//     they are tried again, ever more rarely, and Status says why. A failure that
//     sdk.IsPermanent ends them. A change of which an edit has to wait
//     (sdk.RetryAfter) waits alone; what comes later overtakes it.
//   - A process that is killed after a push and before it has noted it finds
//     what it pushed in the tree after the restart: an edit whose result stands
//     there already changes nothing, and a change that a commit had begun for
//     counts as written, at the revision of that tree. There is no second
//     commit.
//
// Done is called at least once with each change; twice only if the process died
// between the call and the note that it returned.
package writeback

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Kinds of causes.
const (
	Automation = "automation"
	Release    = "release"
	Policy     = "policy"
	Revert     = "revert"
)

// Change is one intention of one cause for one sync.
type Change struct {
	ID     string      `json:"id"`               // unique; submitting a pending one again does nothing
	Source string      `json:"source"`           // address
	Branch string      `json:"branch,omitempty"` // to write to; "" is the one that is read
	Sync   string      `json:"sync"`             // address of the sync whose files these are
	Edits  []edit.Edit `json:"edits"`
	Cause  Cause       `json:"cause"`
	// Message is the template of the commit message, see MessageData; "" means
	// the words of Flux v1.
	Message string    `json:"message,omitempty"`
	Subject Subject   `json:"subject,omitzero"`
	At      time.Time `json:"at"` // when it was decided; default now
}

// Cause says who or what wants a change.
type Cause struct {
	Kind    string `json:"kind"`              // Automation, Release, Policy or Revert
	User    string `json:"user,omitempty"`    // "Name <mail>" if a person
	Message string `json:"message,omitempty"` // the person's own words for the commit
	Job     string `json:"job,omitempty"`     // what belongs together: the ID of a job, the address of an automation
}

func (c Cause) byPerson() bool { return c.Kind == Release || c.Kind == Policy }

// Subject is what the words of a commit tell beyond its edits.
type Subject struct {
	Image      string   `json:"image,omitempty"`      // release: the reference that was asked for, "" for all latest
	Workloads  []string `json:"workloads,omitempty"`  // release: IDs that were asked for, nil for all
	Containers bool     `json:"containers,omitempty"` // release: of an exact list of containers
	Reverts    string   `json:"reverts,omitempty"`    // revert: the revision that is undone
	Reason     string   `json:"reason,omitempty"`     // revert: why
	From       []string `json:"from,omitempty"`       // by index of Edits: the former references, where an edit takes whatever is there
}

// From is the reference that edit i of the change replaces, "" if that is not
// known.
func (c Change) From(i int) string {
	if from := c.Edits[i].From; from != "" || i >= len(c.Subject.From) {
		return from
	}
	return c.Subject.From[i]
}

// Outcome says how a change ended.
type Outcome struct {
	ID       string          `json:"id"`
	Revision source.Revision `json:"revision,omitzero"` // that holds what was written, or had it already
	// Errors belong to Edits; "" is an edit that was written or stood there.
	Errors    []string  `json:"errors,omitempty"`
	Unchanged bool      `json:"unchanged,omitempty"` // all stood there already: there is no commit for it
	Err       string    `json:"error,omitempty"`     // nothing was written: why
	Refused   bool      `json:"refused,omitempty"`   // Err is the source's, and of all that was tried together
	Withdrawn []int     `json:"withdrawn,omitempty"` // indices of the edits that were not admitted, in order
	At        time.Time `json:"at"`
}

// Wrote reports whether edit i of the change stands in git now.
func (o Outcome) Wrote(i int) bool {
	return o.Err == "" && (i >= len(o.Errors) || o.Errors[i] == "")
}

// WhyNot is why edit i of the change was not written.
func (o Outcome) WhyNot(i int) string {
	if i < len(o.Errors) && o.Errors[i] != "" {
		return o.Errors[i]
	}
	return o.Err
}

// Ended is a change and how it ended.
type Ended struct {
	Change  Change
	Outcome Outcome
}

// Tree is a source's tree, to read. Release, if there is one, gives it back.
type Tree struct {
	Dir      string
	Source   string // address of the one that it is of
	Digest   string
	Revision source.Revision
	Release  func()
}

// Repository is one branch of a source that can be written to.
type Repository interface {
	// Head returns the newest tree; fresh asks the source now instead of taking
	// what was fetched last.
	Head(ctx context.Context, fresh bool) (Tree, error)
	// Commit is that of source.Committer.
	Commit(ctx context.Context, c source.Change) (source.Revision, error)
}

// Options configures New.
type Options struct {
	// Open returns what commits to a branch of a source, "" being the one that
	// is read. A permanent error ends the source's changes: it is not declared
	// any more, or cannot be written to. Any other keeps them.
	Open func(source, branch string) (Repository, error)
	// Edit turns edits of the files of a sync into changes of files. errs
	// belong to edits. An error ends its edit, unless it has an
	// sdk.RetryDelay: then its change is kept and tried again.
	Edit func(ctx context.Context, sync string, t Tree, edits []edit.Edit) (files []edit.FileChange, errs []error)
	// Admit returns what tells, of each edit that would change a file of a sync
	// in t, why that is not to be done any more; nil is that it is. An error is
	// to the edit what one of Edit is. May be nil: all that was submitted is
	// wanted.
	Admit func(ctx context.Context, sync string, t Tree) func(Change, edit.Edit) error
	// Store keeps what is pending. It must outlive the queue.
	Store *state.Store
	// Done hears how changes ended, of one source and branch: those together
	// that ended by one step of one try, such as a commit. It may Submit; it
	// must not Wait. May be nil.
	Done func([]Ended)
	// Waiting hears of each try after which changes to a source wait: Waits
	// tells why. May be nil.
	Waiting func(source string)
	// Warn hears of what a person should know and what loses no change, such as
	// a template that fails. May be nil: it is in the log in any case.
	Warn func(source string, err error)

	Quiet   time.Duration // default 200 ms; it waits ten times that at most
	Timeout time.Duration // of one try of a commit; default 30 min
	Backoff sched.Backoff // after failures; default 1 s to 5 min
	Rand    func() float64
	Logger  *slog.Logger
}

// ErrClosed says that the queue was closed. Changes that were pending go on
// with the next queue over the same store.
var ErrClosed = errors.New("commit queue closed")

// ErrUnknown says that there is no such change, or that it ended long ago.
var ErrUnknown = errors.New("no such change")

func (o Options) withDefaults() (Options, error) {
	if o.Open == nil || o.Edit == nil || o.Store == nil {
		return o, errors.New("commit queue: Open, Edit and Store are needed")
	}
	if o.Done == nil {
		o.Done = func([]Ended) {}
	}
	if o.Admit == nil {
		o.Admit = func(context.Context, string, Tree) func(Change, edit.Edit) error {
			return func(Change, edit.Edit) error { return nil }
		}
	}
	if o.Waiting == nil {
		o.Waiting = func(string) {}
	}
	if o.Warn == nil {
		o.Warn = func(string, error) {}
	}
	if o.Quiet <= 0 {
		o.Quiet = 200 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Minute
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}
