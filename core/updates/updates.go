// Package updates decides which images are to be replaced and gets that into
// git: for automations, which look by themselves, and for people, who ask for
// jobs. It follows what was rolled out, and takes it back where it fails.
//
// One update goes this way. An estate is what git declares of one sync, what
// runs of it, and what the configuration says of its images (package rules).
// Package update decides on it; soak, brake, quarantine and what is pending
// already hold back. What is left becomes changes of a writeback.Queue, which
// asks here for the edited files, and once more, of each edit, whether it is
// wanted still. What the queue has come to is told to the Site, to the jobs (see
// package jobs), and to the gate, which follows rollouts.
//
// The Updater knows no nodes. It sees the daemon through Site: that decides when
// an automation looks, and turns what comes of it into a state; what is decided
// is the Updater's.
//
// # Locks
//
// An Updater has one lock, which guards what it remembers of automations and of
// commits. It is a leaf: while it is held nothing is called, no Site, no queue,
// no scanner, no disk, so that it comes after every other lock. The queue, the
// gate and the book of jobs have locks of their own, and call nobody while they
// hold them.
//
// So a Site may hold its lock when it calls what calls no Site: Setup, EditCache,
// Recall, Record, Looked, Trouble, Waits, Explain, Committed, Following, Retry
// and Reached. All other methods call the Site, which locks: they are called
// without.
//
// All methods are safe for concurrent use.
package updates

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// Options configures New. All of it is needed but the logger.
type Options struct {
	Site    Site
	Config  *config.Config  // of which it takes what is about images
	Store   *state.Store    // what outlives the process; it must outlive the Updater
	Scanner *images.Scanner // what registries have
	Limiter *limit.Limiter  // what requests to them wait for
	Renders *render.Store
	WorkDir string      // for files that are needed while something is edited
	Pool    *sched.Pool // where jobs are planned
	Logger  *slog.Logger
}

// Updater is what a daemon has for changing images and policies in git.
type Updater struct {
	site    Site
	store   *state.Store
	scanner *images.Scanner
	limiter *limit.Limiter
	renders *render.Store
	workDir string
	pool    *sched.Pool
	log     *slog.Logger

	queue *writeback.Queue
	gate  *gate.Keeper
	files *edit.Cache
	jobs  *jobs.Book
	setup atomic.Pointer[setup] // of the running configuration

	counts counts

	mu     sync.Mutex         // guards what follows; see the package comment
	memory map[string]*memory // by automation
	marks  commitMarks
}

// setup is what a configuration says of images. It is never changed.
type setup struct {
	rules.Setup
	interval time.Duration // between two scans of a repository
}

func setupOf(cfg *config.Config) *setup {
	return &setup{Setup: *rules.New(cfg), interval: cfg.Images.Interval}
}

// editCacheBytes bounds the memory of what is known of files that may be edited.
const editCacheBytes = 32 << 20

// New opens what puts decisions into commits. Nothing is committed before Start.
// The caller owes it a Close.
func New(o Options) (*Updater, error) {
	if o.Site == nil || o.Config == nil || o.Store == nil || o.Scanner == nil || o.Limiter == nil || o.Renders == nil || o.Pool == nil {
		return nil, errors.New("updates: an option is missing")
	}
	u := &Updater{
		site: o.Site, store: o.Store, scanner: o.Scanner, limiter: o.Limiter, renders: o.Renders, workDir: o.WorkDir, pool: o.Pool, log: o.Logger,
		files: edit.NewCache(editCacheBytes), memory: map[string]*memory{},
	}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.setup.Store(setupOf(o.Config))
	var err error
	if u.gate, err = gate.Open(o.Store); err != nil {
		return nil, err
	}
	if u.jobs, err = jobs.Open(o.Store); err != nil {
		return nil, err
	}
	u.queue, err = writeback.New(writeback.Options{
		Open: o.Site.Repository, Edit: u.editFiles, Admit: u.admit, Store: o.Store,
		Done: u.changesEnded, Waiting: u.commitsWait, Warn: o.Site.Warn, Logger: u.log,
	})
	return u, err
}

// Start goes on with what a former process has left.
func (u *Updater) Start() {
	u.queue.Start()
	u.resumeJobs()
}

// Close ends what is under way; what is pending goes on with the next Updater
// over the same store. The pool is its owner's to close.
func (u *Updater) Close(ctx context.Context) error { return u.queue.Close(ctx) }

// Configure takes up what a configuration says of images. What could not be
// committed is tried again.
func (u *Updater) Configure(cfg *config.Config) {
	u.setup.Store(setupOf(cfg))
	u.queue.Reconfigure()
}

// Setup is what the running configuration says about images. It is never
// changed.
func (u *Updater) Setup() *rules.Setup { return &u.setup.Load().Setup }

// EditCache is the cache for files that may be edited.
func (u *Updater) EditCache() *edit.Cache { return u.files }

// Retry has what waits to be written to a source tried at once.
func (u *Updater) Retry(source string) { u.queue.Reconfigure(source) }

// Reached says that a source has answered: see writeback.Queue.Reached.
func (u *Updater) Reached(source string) { u.queue.Reached(source) }

func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// newID returns an identifier that nobody else has.
func newID() string { return rand.Text()[:16] }

// closing reports whether ctx has ended, for loops that leave the rest undone.
func closing(ctx context.Context) bool { return ctx.Err() != nil }

// gone says that a declaration is not there any more.
func gone(id string) error { return refusal.NotFound("%s is not in the configuration any more", id) }
