// Package engine runs a configuration: it turns declarations into a graph of
// nodes, opens their plugin instances, and decides when each of them works.
// It is the only package that sees everything. What can be decided without its
// lock is decided in packages below it: what becomes of images in package updates,
// which sees the engine through updates.Site.
//
// A node is a source, an applier or a sync. Its work is a job of a keyed pool:
// of each node at most one job runs and at most one waits. A job ends in a
// state with a reason, and what follows from it is triggered, never polled: a
// new revision runs the syncs of a source, a sync that was applied runs those
// that it blocked, an applier that opened runs its syncs. Failures stay with
// their node, which tries again with back-off.
//
// A reload builds a new graph beside the running one, takes over each node
// whose declaration has not changed, and swaps. A configuration with errors
// changes nothing: the last good one runs on.
//
// The same code serves the daemon (Run) and one-shot commands (Plan, Apply).
// Nothing here is the only copy of something that matters: after a kill at any
// moment a new start converges.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/graph"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Engine runs one configuration. Its methods are safe for concurrent use.
type Engine struct {
	opts Options
	log  *slog.Logger

	reloading sync.Mutex // held by whoever reads and adopts a configuration
	refollow  sync.Mutex // held by whoever begins or ends to follow custom resources

	mu       sync.Mutex // guards what follows; never held during a call of a plugin
	read     *candidate // what Load read last
	problems diag.List  // of reading it
	running  *candidate // what runs
	status   ConfigStatus
	graph    *graph.Graph[*node]
	nodes    map[string]*node
	changed  chan struct{} // closed and replaced when a node changes
	watchers map[*watcher]struct{}
	alive    bool            // between start and Close
	selected map[string]bool // in a one-shot, the only nodes that run; nil: all
	aside    bool            // a plan beside the daemon that has the records

	workloads map[string][]workload.Workload // what runs, by applier, when it was last looked at
	followed  map[string]*following          // custom resources, by applier
	orphans   []instance                     // to be closed
	claims    map[string]string              // nodes by the UID of the custom resource that is theirs
	dropped   map[string]bool                // nodes that are gone, and are yet to be forgotten on disk

	// Set by start, and constant until Close.
	dataDir   string
	listening string // where the API listens
	store     *state.Store
	trees     *tree.Store
	recorder  *recorder
	bus       *event.Bus
	pool      *sched.Pool
	times     *sched.Timetable // nil in a one-shot
	manifests *manifest.Cache
	renders   *render.Store
	broker    *credentials.Broker
	imaging   *imaging         // nil in a one-shot
	updates   *updates.Updater // nil in a one-shot
	releases  *releases
	closers   []func(ctx context.Context) error
}

// New returns an engine that has done nothing yet.
func New(o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Engine{
		opts: o, log: o.Logger,
		nodes: map[string]*node{}, workloads: map[string][]workload.Workload{}, followed: map[string]*following{}, claims: map[string]string{}, dropped: map[string]bool{}, changed: make(chan struct{}), watchers: map[*watcher]struct{}{},
		status: ConfigStatus{Paths: o.ConfigPaths},
	}, nil
}

// Config returns the configuration that Load read last, incomplete if it had
// errors, and nil before the first Load.
func (e *Engine) Config() *config.Config {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.read == nil {
		return nil
	}
	return e.read.cfg
}

// start opens what the nodes need and adopts the configuration that was read.
// What it opened is closed by Close, also when start fails.
func (e *Engine) start(ctx context.Context, daemon bool) error {
	e.mu.Lock()
	c := e.read
	e.mu.Unlock()
	e.dataDir, e.listening = e.dataDirOf(c.cfg.Settings), e.listenOf(c.cfg.Settings)
	if err := e.openState(); err != nil {
		return err
	}
	e.manifests = manifest.NewCache(manifestCacheBytes)
	e.onClose(func(context.Context) error { return os.RemoveAll(e.workDir()) })
	var err error
	if e.renders, err = render.NewStore(filepath.Join(e.workDir(), "rendered")); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	e.onClose(e.closeInstances)
	e.onClose(e.closeFollowing)
	if err := e.openReleases(); err != nil {
		return err
	}
	e.openBroker()
	if daemon {
		if err := e.openImaging(c.cfg); err != nil {
			return err
		}
	}
	e.pool = sched.NewPool(e.opts.Workers)
	e.onClose(e.pool.Close)
	if daemon {
		e.times = sched.NewTimetable(e.due, sched.TimetableOptions{})
		e.onClose(func(context.Context) error { e.times.Close(); return nil })
		if err := e.openUpdates(c.cfg); err != nil {
			return err
		}
	}
	e.mu.Lock()
	e.alive = true
	e.mu.Unlock()
	added, err := e.adopt(ctx, c)
	if err == nil && daemon {
		e.forgetUndeclared(ctx)
		e.runNow(added)
		e.startUpdates()
		e.startChecking()
	}
	return err
}

// oneShot reports whether this process ends when it has done what it was asked
// for once.
func (e *Engine) oneShot() bool { return e.times == nil }

// openState opens what is kept in the data directory, and sweeps what a killed
// process has left there.
func (e *Engine) openState() error {
	store, err := state.Open(e.dataDir, state.Options{Logger: e.log})
	if _, locked := errors.AsType[*state.LockedError](err); locked {
		return fmt.Errorf("%w: %w", ErrLocked, err)
	}
	if err != nil {
		return err
	}
	e.store = store
	e.onClose(func(context.Context) error { return store.Close() })
	e.recorder = newRecorder(e.writeRecords)
	e.onClose(func(context.Context) error { e.recorder.close(); return nil })
	if err := os.RemoveAll(e.workDir()); err != nil {
		return fmt.Errorf("engine: sweep: %w", err)
	}
	if e.trees, err = tree.Open(filepath.Join(e.dataDir, "trees"), tree.Options{}); err != nil {
		return err
	}
	e.onClose(func(context.Context) error { return e.trees.Close() })
	return e.openBus()
}

// manifestCacheBytes bounds the memory of parsed files.
const manifestCacheBytes = 32 << 20

// workDir holds what a run needs only while it lasts.
func (e *Engine) workDir() string { return filepath.Join(e.dataDir, "work") }

// workDirOf holds what runs of one sync need.
func (e *Engine) workDirOf(id string) string { return filepath.Join(e.workDir(), digest.Of(id)) }

func (e *Engine) onClose(f func(ctx context.Context) error) { e.closers = append(e.closers, f) }

// Close stops all work: no job begins any more, waits end, an operation of Helm
// does soon, and a running apply has until ctx ends to come to its end. It closes the plugins last. A second
// call does nothing.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.alive = false
	closers := e.closers
	e.closers = nil
	for _, n := range e.nodes {
		if n.sync != nil && n.sync.endWait != nil {
			n.sync.endWait(errStopping)
		}
		if n.release != nil {
			n.release.asked.Finish(errStopping) // what has begun is for its run
		}
	}
	e.mu.Unlock()
	soon := time.AfterFunc(releaseGrace, e.stopReleases)
	defer soon.Stop()
	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i](ctx))
	}
	for _, h := range e.takeHosts() {
		errs = append(errs, h.Close(context.WithoutCancel(ctx)))
	}
	return errors.Join(errs...)
}

// releaseGrace is what an operation of Helm has to come to its end when the
// daemon stops. Most of its time goes by with waiting, and nothing is lost if
// that ends: the next process sees what was interrupted.
const releaseGrace = time.Second

// stopReleases ends the operations of Helm that are under way.
func (e *Engine) stopReleases() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		if n.release != nil && n.release.endRun != nil {
			n.release.endRun(errStopping)
		}
	}
}

// takeHosts returns the plugin hosts that are open, and forgets them.
func (e *Engine) takeHosts() []pluginHost {
	e.mu.Lock()
	defer e.mu.Unlock()
	var hosts []pluginHost
	for _, c := range []*candidate{e.read, e.running} {
		if h := c.hostOrNil(); h != nil && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
			c.host = nil
		}
	}
	return hosts
}

var (
	errStopping   = errors.New("the daemon is stopping")
	errSuperseded = errors.New("superseded by a newer run")
)

// nodeChanged wakes everybody who waits for a node. e.mu is held.
func (e *Engine) nodeChanged() {
	close(e.changed)
	e.changed = make(chan struct{})
}
