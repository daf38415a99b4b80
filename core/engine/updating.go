package engine

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// updating is what a daemon has for changing images and policies in git. Its
// parts have locks of their own, which are taken after Engine.mu if at all; none
// of them calls the engine while it holds one.
type updating struct {
	queue *writeback.Queue
	gate  *gate.Keeper
	files *edit.Cache
	setup atomic.Pointer[imageSetup] // of the running configuration
	jobs  *jobBook
	marks commitMarks // guarded by Engine.mu

	counts updateCounts
}

// imageSetup is what a configuration says about where images stand and which of
// them may be taken. It is never changed.
type imageSetup struct {
	book  rulebook
	kinds []edit.Kind    // that hold images in places of their own
	list  []applier.Kind // to list beside what appliers know to run containers
}

// editCacheBytes bounds the memory of what is known of files that may be edited.
const editCacheBytes = 32 << 20

func newImageSetup(cfg *config.Config) *imageSetup {
	s := &imageSetup{book: newRulebook(cfg.ImagePolicies)}
	s.list = append(s.list, helmKinds...)
	for _, k := range cfg.ImageKinds {
		s.kinds = append(s.kinds, edit.Kind{
			Group: k.Group, Kind: k.Kind, Containers: k.Containers, InitContainers: k.InitContainers, Images: k.Images,
		})
		if kind := (applier.Kind{Group: k.Group, Kind: k.Kind}); !slices.Contains(s.list, kind) {
			s.list = append(s.list, kind)
		}
	}
	return s
}

// helmKinds hold images in the values of a chart.
var helmKinds = []applier.Kind{
	{Group: "helm.fluxcd.io", Kind: "HelmRelease"},
	{Group: "flux.weave.works", Kind: "HelmRelease"},
	{Group: "helm.integrations.flux.weave.works", Kind: "FluxHelmRelease"},
	{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease"},
}

// openUpdating opens what puts decisions into commits. Nothing is committed
// before startUpdating.
func (e *Engine) openUpdating(cfg *config.Config) error {
	u := &updating{files: edit.NewCache(editCacheBytes)}
	u.setup.Store(newImageSetup(cfg))
	var err error
	if u.gate, err = gate.Open(e.store); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if u.jobs, err = openJobBook(e.store); err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	u.queue, err = writeback.New(writeback.Options{
		Open: e.openRepository, Edit: e.editFiles, Admit: e.admit, Store: e.store,
		Done: e.changesEnded, Waiting: e.commitsWait, Warn: e.warnOfCommits, Logger: e.log,
	})
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	e.onClose(u.queue.Close)
	e.updating = u
	return nil
}

// startUpdating goes on with what a former process has left.
func (e *Engine) startUpdating() {
	if e.updating == nil {
		return
	}
	e.updating.queue.Start()
	e.resumeJobs()
	e.followRollouts()
}

// configureUpdating takes up what a configuration says of images. What could
// not be committed is tried again.
func (e *Engine) configureUpdating(c *candidate) {
	if e.updating == nil {
		return
	}
	e.updating.setup.Store(newImageSetup(c.cfg))
	e.updating.queue.Reconfigure()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookSoon("", sched.Webhook)
}

// setup is what the running configuration says about images.
func (e *Engine) setup() *imageSetup {
	if e.updating == nil {
		return &imageSetup{}
	}
	return e.updating.setup.Load()
}

// options say how the files of a sync are read for their images.
func (s *imageSetup) options(namespace string) edit.Options {
	return edit.Options{Namespace: namespace, Kinds: s.kinds}
}

// defaultNamespace is where an applier puts objects that name no namespace, as
// far as its configuration says.
func defaultNamespace(p *config.PluginConfig) string {
	var c struct {
		DefaultNamespace string `json:"default_namespace"`
	}
	if p != nil {
		_ = json.Unmarshal(p.JSON, &c) // whatever is there, the plugin judges it
	}
	return c.DefaultNamespace
}

// newID returns an identifier that nobody else has.
func newID() string { return rand.Text()[:16] }

// warnOfCommits tells what a person should know of commits to a source.
func (e *Engine) warnOfCommits(source string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[source]; n != nil && e.alive {
		e.say(n, eventCommitTrouble, oneLine(err))
	}
}

// pendingCommits tells what has not reached its repository yet.
func (e *Engine) pendingCommits() []PendingCommit {
	if e.updating == nil {
		return nil
	}
	var list []PendingCommit
	for _, s := range e.updating.queue.Status() {
		if s.Pending > 0 {
			list = append(list, PendingCommit{
				Source: s.Source, Branch: s.Branch, Changes: s.Pending, Since: s.Since, Error: s.Error, NextAttempt: s.Next,
			})
		}
	}
	return list
}

// UpdateMetrics are figures of what is written to git, since the start but for
// those that tell how many there are now.
type UpdateMetrics struct {
	Commits   uint64         // changes that were written, reverts included
	Failures  uint64         // changes of which nothing was written
	Conflicts uint64         // edits that were left out
	Pending   int            // changes in the queue now
	Rollouts  int            // that are followed now
	Failed    uint64         // rollouts that failed
	Held      int            // images in quarantine now
	Jobs      map[string]int // that are remembered, by state
}

// updateCounts are the parts of UpdateMetrics that only grow.
type updateCounts struct{ commits, failures, conflicts, failed atomic.Uint64 }

// UpdateMetrics are the figures of what is written to git.
func (e *Engine) UpdateMetrics() UpdateMetrics {
	u := e.updating
	if u == nil {
		return UpdateMetrics{}
	}
	m := UpdateMetrics{
		Commits: u.counts.commits.Load(), Failures: u.counts.failures.Load(), Conflicts: u.counts.conflicts.Load(), Failed: u.counts.failed.Load(),
		Rollouts: len(u.gate.Watches("")), Held: len(u.gate.Quarantined()), Jobs: map[string]int{},
	}
	for _, s := range u.queue.Status() {
		m.Pending += s.Pending
	}
	for _, j := range u.jobs.all() {
		m.Jobs[j.State]++
	}
	return m
}

// count takes an outcome into the figures.
func (c *updateCounts) count(o writeback.Outcome) {
	if o.Err != "" {
		c.failures.Add(1)
		return
	}
	for _, err := range o.Errors {
		if err != "" {
			c.conflicts.Add(1)
		}
	}
	if !o.Unchanged {
		c.commits.Add(1)
	}
}

// closing reports whether ctx has ended, for loops that leave the rest undone.
func closing(ctx context.Context) bool { return ctx.Err() != nil }
