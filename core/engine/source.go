package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// sourceJob is the input of one run of a source.
type sourceJob struct {
	id       string
	cfg      config.Source
	previous source.Revision
	revision source.Revision
	fetched  bool // revision stands in the tree store
}

// sourceNews is the output of a run.
type sourceNews struct {
	resolved source.Revision
	revision source.Revision
	fetched  *tree.Tree // nil: nothing new
}

// runSource asks a source for its newest revision and fetches what is new.
func (e *Engine) runSource(ctx context.Context, id string) {
	job, ok := e.beginSource(id)
	if !ok {
		return
	}
	news, err := e.refresh(ctx, job)
	if ctx.Err() != nil {
		e.abandon(id)
		return
	}
	e.endSource(job, news, err)
}

func (e *Engine) beginSource(id string) (sourceJob, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.source == nil {
		return sourceJob{}, false // removed meanwhile
	}
	n.begin()
	if s := n.suspended(); s != nil {
		e.rest(n, Suspended, s.String(), resumeHint(s, id))
		e.tellDependents(id)
		return sourceJob{}, false
	}
	if n.source.tree == nil {
		n.set(Running, "fetching the first revision", "")
		e.nodeChanged()
	}
	s := n.source
	return sourceJob{id: id, cfg: s.cfg, previous: s.previous, revision: s.revision, fetched: s.tree != nil && s.tree.Intact()}, true
}

// refresh resolves, and fetches if the revision is new. Where there is nothing
// new it costs one Resolve.
func (e *Engine) refresh(ctx context.Context, job sourceJob) (sourceNews, error) {
	news := sourceNews{resolved: job.previous, revision: job.revision}
	ctx, cancel := deadline.Within(ctx, job.cfg.Timeout)
	defer cancel()
	inst, err := e.open(ctx, job.id)
	if err != nil {
		return news, err
	}
	// A revision can be gone by the time it is fetched: a branch that is
	// pushed with force. Asking again settles it.
	const attempts = 3
	for i := range attempts {
		e.progress(job.id, rollout.Progress{Step: rollout.StepResolve})
		rev, err := inst.Source().Resolve(ctx, news.resolved)
		if err != nil {
			return news, fmt.Errorf("resolve: %w", deadline.Because(ctx, err))
		}
		news.resolved = rev
		if rev.ID == job.revision.ID && job.fetched {
			news.revision = rev // what people know it by may have changed
			return news, nil
		}
		e.progress(job.id, rollout.Progress{Step: rollout.StepFetch, Text: words.Short(rev.ID)})
		t, err := e.trees.Put(ctx, treeKey(job.cfg, rev), func(ctx context.Context, dir string) error {
			return inst.Source().Fetch(ctx, rev, dir)
		})
		if errors.Is(err, source.ErrGone) && i+1 < attempts {
			news.resolved = source.Revision{}
			continue
		}
		if err != nil {
			return news, fmt.Errorf("fetch %s: %w", words.Short(rev.ID), deadline.Because(ctx, err))
		}
		news.revision, news.fetched = rev, t
		return news, nil
	}
	return news, nil // not reached: the last attempt returns
}

// treeKey names the tree of a revision: two blocks with the same configuration
// share it.
func treeKey(cfg config.Source, rev source.Revision) string {
	if cfg.Plugin.JSON == nil { // of charts: its configuration stands in its name
		return digest.Of(cfg.Plugin, cfg.Address, rev.ID)
	}
	return digest.Of(cfg.Plugin, rev.ID)
}

// endSource records what a run found and triggers the syncs that it concerns.
// After a failure the source keeps what it has.
func (e *Engine) endSource(job sourceJob, news sourceNews, err error) {
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.source == nil || pluginKey(n.source.cfg.Plugin) != pluginKey(job.cfg.Plugin) {
		e.mu.Unlock()
		if news.fetched != nil {
			news.fetched.Release()
		}
		return // reconfigured meanwhile: the next run tells
	}
	s := n.source
	s.previous = news.resolved
	first := err == nil && s.resolved == 0
	if err == nil {
		s.resolved = n.begun
		e.retryCommits(n)
	}
	isNew := news.fetched != nil
	if isNew {
		s.keep(news.fetched, news.revision)
		n.showRevision(s.revision)
	}
	if err != nil {
		e.failed(n, s.named(job.cfg.Plugin, err), "")
		e.tryOtherwise(n)
	} else {
		e.succeeded(n, Ready, words.Revision(s.revision), "")
	}
	if isNew {
		e.publish(n, eventNewRevision, words.Revision(s.revision))
	}
	if s.tree != nil && (isNew || !s.told) {
		s.told = true
		for _, id := range e.graph.Dependents(job.id) {
			e.supersede(id)
		}
	}
	if isNew || first {
		for _, id := range e.graph.Dependents(job.id) {
			e.lookSoon(id, sched.Webhook)
		}
	}
	e.mu.Unlock()
	if isNew {
		e.recorder.mark(job.id)
	}
}

// resumeCommits has what waited while a source or an automation was suspended
// tried at once. e.mu is held.
func (e *Engine) resumeCommits(n *node) {
	if e.updates == nil {
		return
	}
	source := n.id
	if n.automation != nil {
		files, _ := e.nodes[n.automation.cfg.Target].files()
		source = files.Source
	}
	e.updates.Retry(source)
}

// retryCommits has what waits to be written to a source tried, which has just
// answered: at once if it did not before. e.mu is held.
func (e *Engine) retryCommits(n *node) {
	switch {
	case e.updates == nil:
	case n.failure != nil:
		e.updates.Retry(n.id)
	default:
		e.updates.Reached(n.id)
	}
}

// keep makes t the source's tree, and lets go of the one before.
func (s *sourceNode) keep(t *tree.Tree, rev source.Revision) {
	if s.tree != nil {
		s.tree.Release()
	}
	s.tree, s.revision = t, rev
}

// digest identifies the source's tree, "" before the first.
func (s *sourceNode) digest() string {
	if s.tree == nil {
		return ""
	}
	return s.tree.Digest
}
