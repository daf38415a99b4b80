package updates

import (
	"context"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/release/blockimages"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Site is the daemon as the Updater sees it: what is declared, what it has come
// to, and who is to hear of it. Its methods are called from several goroutines
// and never while the Updater holds its lock; those without a context do not
// wait for anything outside the process.
//
// Ids are the addresses of declarations. A sync, here, is a sync or a release
// block with files of values.
type Site interface {
	// Syncs returns the ids of all that has files which images stand in, sorted.
	Syncs() []string
	// Files tells of one of them. ok is false if it is not declared any more, or
	// has no files.
	Files(sync string) (f Files, ok bool)
	// Newest is what is known of the newest revision of a source. ok is false if
	// it is not declared any more.
	Newest(source string) (n Newest, ok bool)
	// Hold returns the tree of the newest revision. The caller owes it a Release.
	Hold(source string) (*tree.Tree, error)
	// Refresh has the sources of syncs asked for their newest revisions, and
	// waits for that.
	Refresh(ctx context.Context, syncs []string) error
	// Renderer returns a renderer. An error that is render.ErrNotOpen may pass.
	Renderer(address string) (render.Instance, error)
	// Repository is what commits to a branch of a source, see
	// writeback.Options.Open. It tells the Updater what was Committed.
	Repository(source, branch string) (writeback.Repository, error)

	// Workloads asks appliers what runs now.
	Workloads(ctx context.Context, req workload.Request) (workload.Answer, error)
	// Running is what ran at an applier when somebody asked last. It is not to be
	// changed.
	Running(applier string) []workload.Workload
	// Applied reports whether a sync has applied a revision, or what a later run
	// of its source than after has found to be the newest. So has one that is not
	// declared any more.
	Applied(sync, revision string, after uint64) bool
	// Stalled tells, by workload, why the last run of a sync says that it will not
	// become ready.
	Stalled(sync string) map[string]string

	// Automation tells of an image automation. ok is false if it is not declared
	// any more.
	Automation(id string) (a Automation, ok bool)
	// Automations are those that look after a sync, or with "" all, ordered by id.
	Automations(sync string) []Automation
	// Concluded hears what a try to write what an automation wants has come to.
	Concluded(automation string, o Outcome)
	// LookSoon has the automations of a sync look, or with "" all.
	LookSoon(sync string, p sched.Priority)
	// Warn tells what a person should know of commits to a source.
	Warn(source string, err error)
	// Publish publishes an event.
	Publish(ev event.Event)
}

// Files are the files of a sync, and how they are read.
type Files struct {
	Sync      config.Sync
	Namespace string              // of objects that name none
	Block     *blockimages.Values // of a release block, without a tree; nil: it is a sync
}

// Newest is the newest revision of a source that is known.
type Newest struct {
	Revision source.Revision // of the tree that Hold returns; zero before the first
	Resolved uint64          // the last run of the source that has seen which revision is the newest; 0: none
}

// Automation is an image automation and how it fares.
type Automation struct {
	Config    config.ImageAutomation
	Suspended string // who did that and why; empty: nobody
	Stuck     string // its state and why, if that keeps it from working
}

// Outcome is what one try to write what an automation wants has come to.
type Outcome struct {
	Waits   string // why changes have to wait still; then the rest is not known
	Trouble string // what could not be written and why; empty: nothing
	Failed  bool   // there is trouble that this try has brought
	Advice  string // what ends the trouble; empty: nobody knows
	Offered bool   // something was pushed to another branch than the one that is read
}
