// Package pluginhost finds, verifies, describes, starts, supervises and stops
// plugin processes, and gives the rest of the daemon instances to call that
// survive all of that.
//
// One process runs for each plugin binary that is in use, with any number of
// instances in it. It is started by the first call, watched, killed when it
// hangs, started again with back-off when it ends, and stopped when nobody
// has called it for a while. The host owns all state: what Open was called
// with is replayed into each new process, so a plugin is a cache that may be
// restarted at any time. A call waits until the process is ready, is made
// once more in the new process if it is idempotent and the old one died, and
// fails with an *ExitedError otherwise.
//
// Nothing a plugin does may harm the host. It runs in a process group of its
// own, without the host's environment and standard input; its log is parsed
// as hostile text; every wait for it is bounded; known secrets are removed
// from whatever text comes out of it. If there is a lock file, only the
// binaries in it run.
package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Options configure a Host.
type Options struct {
	Dirs     []string          // searched in order for sluice-plugin-NAME
	Plugins  []Declaration     // from the configuration
	Dev      map[string]string // plugin name to path: not verified, with a warning
	LockFile string            // plugins.lock.hcl; empty or absent: nothing is verified
	RunDir   string            // for sockets; short, private to the user
	DataDir  string            // HOME and TMPDIR of plugins, caches of instances
	CacheDir string            // descriptions of plugins
	Services Services          // what plugins may ask of the host; nil: nothing
	Logger   *slog.Logger      // nil: slog.Default()
	IdleStop time.Duration     // stop a process that was not called for so long; 0: see Declaration
	Environ  []string          // nil: os.Environ()
}

// Declaration is a `plugin "name" { ... }` block.
type Declaration struct {
	Name string
	Path string            // empty: sluice-plugin-NAME in Options.Dirs
	Env  map[string]string // for the process, wins over everything

	// IdleStop stops the process when it was not called for so long, though it
	// has open instances; the next call starts it again and opens them anew. A
	// call that runs, a Watch among them, keeps it. 0: only a process without
	// instances is stopped, and one that only renders after 2 minutes. What is
	// called at an interval wants more than that interval, or each call pays for
	// a start.
	IdleStop time.Duration
}

// timing holds what tests make shorter.
type timing struct {
	start, describe          time.Duration // limits
	healthEvery, healthLimit time.Duration
	healthMisses             int
	backoffMin, backoffMax   time.Duration
	backoffReset             time.Duration
	drain, closing           time.Duration // limits: calls under way, Close calls
	exitNotice               time.Duration // from a broken connection to the news of the exit
	linger                   time.Duration // of a process without instances
	rare                     time.Duration // idle time of a process that is needed rarely, unless its block says
}

var defaultTiming = timing{
	start: 10 * time.Second, describe: 10 * time.Second,
	healthEvery: 10 * time.Second, healthLimit: 2 * time.Second, healthMisses: 3,
	backoffMin: time.Second, backoffMax: 2 * time.Minute, backoffReset: 10 * time.Minute,
	drain: 30 * time.Second, closing: 5 * time.Second,
	exitNotice: 3 * time.Second, linger: 10 * time.Second, rare: 2 * time.Minute,
}

// Host is safe for concurrent use.
type Host struct {
	o      Options
	timing timing
	log    *slog.Logger
	scrub  *Scrubber
	run    *runDir
	ctx    context.Context // ends when Close begins to kill
	cancel context.CancelFunc

	sums       checksums
	asking     chan struct{} // held while a binary is asked to describe itself
	unverified sync.Once

	mu        sync.Mutex
	closed    bool
	processes map[string]*process    // by plugin name
	described map[string]description // by describeKey
}

// New checks o and prepares the run directory. It starts no plugin.
func New(o Options) (*Host, error) { return newHost(o, defaultTiming) }

func newHost(o Options, tm timing) (*Host, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if err := checkPlugins(o); err != nil {
		return nil, err
	}
	run, err := newRunDir(o.RunDir)
	if err != nil {
		return nil, err
	}
	h := &Host{
		o: o, timing: tm, log: o.Logger, scrub: &Scrubber{}, run: run,
		asking:    make(chan struct{}, 1),
		processes: map[string]*process{}, described: map[string]description{},
	}
	for _, d := range o.Plugins {
		h.scrub.Add(secretsIn(d.Env)...)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// checkPlugins checks the names and environments of plugins. A name becomes
// part of file names.
func checkPlugins(o Options) error {
	seen := map[string]bool{}
	for _, d := range o.Plugins {
		if seen[d.Name] {
			return fmt.Errorf("plugin %q is declared twice", d.Name)
		}
		seen[d.Name] = true
		if err := checkDeclaredEnv(d.Name, d.Env); err != nil {
			return err
		}
	}
	for name := range o.Dev {
		seen[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if !isPluginName(name) {
			return fmt.Errorf("plugin %q: a name consists of letters, digits, - and _", name)
		}
	}
	return nil
}

// Scrubber knows the secrets that went to plugins. Register others that the
// host learns, and use it on text that came from a plugin by other ways.
func (h *Host) Scrubber() *Scrubber { return h.scrub }

// Open opens an instance of kind/typ and keeps it open, through any restart
// of its plugin, until its Close. name is its address in the configuration;
// config is the JSON form of its block. The list has the plugin's warnings,
// or, with an error, what is wrong with the configuration by attribute path.
func (h *Host) Open(ctx context.Context, kind, typ, name string, config json.RawMessage) (*Instance, diag.List, error) {
	found, err := h.find(ctx, kind, typ)
	if err != nil {
		return nil, nil, err
	}
	p, err := h.process(found)
	if err != nil {
		return nil, nil, err
	}
	offer, _ := found.description.offer(kind, typ) // find has seen it
	h.scrub.Add(sensitiveValues(offer.Schema, config)...)
	i, err := p.add(kind, typ, name, config)
	if err != nil {
		return nil, nil, err
	}
	warnings, err := i.firstOpen(ctx)
	if err != nil {
		l, _ := diag.From(err)
		i.forget()
		return nil, l, err
	}
	return i, warnings, nil
}

// process returns the supervisor of the plugin, made on first use.
func (h *Host) process(found *candidate) (*process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	p, ok := h.processes[found.name]
	if !ok {
		p = newProcess(h, found)
		h.processes[found.name] = p
	}
	return p, nil
}

// Close stops every plugin: calls under way may end, within 30 seconds and
// ctx; new ones fail with ErrClosed; then instances are closed and processes
// killed. It returns when no process and no goroutine of the host is left.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	processes := make([]*process, 0, len(h.processes))
	for _, p := range h.processes {
		processes = append(processes, p)
	}
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, h.timing.drain)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(processes))
	for n, p := range processes {
		wg.Go(func() { errs[n] = p.drain(ctx) })
	}
	wg.Wait()
	h.cancel()
	for _, p := range processes {
		<-p.stopped
	}
	return errors.Join(append(errs, h.run.Close())...)
}
