package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// repository is a source as the commit queue sees it.
type repository struct {
	engine *Engine
	id     string
	branch string // that is written to; empty: the one that is read
}

// openRepository implements writeback.Options.Open.
func (e *Engine) openRepository(id, branch string) (writeback.Repository, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.source == nil {
		return nil, sdk.Permanent(fmt.Errorf("%s is not in the configuration any more", id))
	}
	if s := n.suspended(); s != nil {
		return nil, fmt.Errorf("%s is %s", id, s)
	}
	if n.handle != nil && !n.handle.Has(source.CanCommit) {
		return nil, sdk.Permanent(fmt.Errorf("%s cannot be written to: a source %q takes no commits", id, n.source.cfg.Type))
	}
	return &repository{engine: e, id: id, branch: branch}, nil
}

// Head implements writeback.Repository.
func (r *repository) Head(ctx context.Context, fresh bool) (writeback.Tree, error) {
	if r.branch != "" {
		return r.branchHead(ctx)
	}
	if fresh || !r.resolved() {
		if err := r.refresh(ctx); err != nil {
			return writeback.Tree{}, err
		}
	}
	e := r.engine
	e.mu.Lock()
	n := e.nodes[r.id]
	if n == nil || n.source == nil {
		e.mu.Unlock()
		return writeback.Tree{}, sdk.Permanent(fmt.Errorf("%s is not in the configuration any more", r.id))
	}
	cfg, rev := n.source.cfg, n.source.revision
	e.mu.Unlock()
	t, ok := e.trees.Get(treeKey(cfg, rev))
	if !ok {
		return writeback.Tree{}, fmt.Errorf("%s has no revision yet", r.id)
	}
	return writeback.Tree{Dir: t.Dir, Source: r.id, Digest: t.Digest, Revision: rev, Release: t.Release}, nil
}

// branchHead is what a commit to a branch builds on.
func (r *repository) branchHead(ctx context.Context) (writeback.Tree, error) {
	in, cfg, err := r.open()
	if err != nil {
		return writeback.Tree{}, err
	}
	brancher, ok := in.Source().(source.Brancher)
	if !ok || !in.Has(source.CanBranch) {
		return writeback.Tree{}, sdk.Permanent(fmt.Errorf("%s cannot be written to on another branch than the one that is read", r.id))
	}
	ctx, cancel := deadline.Within(ctx, cfg.Timeout)
	defer cancel()
	rev, err := brancher.Branch(ctx, r.branch)
	if err != nil {
		return writeback.Tree{}, fmt.Errorf("branch %s: %w", r.branch, deadline.Because(ctx, err))
	}
	t, err := r.engine.trees.Put(ctx, treeKey(cfg, rev), func(ctx context.Context, dir string) error {
		return in.Source().Fetch(ctx, rev, dir)
	})
	if err != nil {
		return writeback.Tree{}, fmt.Errorf("fetch %s of branch %s: %w", words.Short(rev.ID), r.branch, deadline.Because(ctx, err))
	}
	return writeback.Tree{Dir: t.Dir, Source: r.id, Digest: t.Digest, Revision: rev, Release: t.Release}, nil
}

// open returns the source's instance. One that is not open yet is opened by its
// own job.
func (r *repository) open() (instance, config.Source, error) {
	e := r.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[r.id]
	switch {
	case n == nil || n.source == nil:
		return nil, config.Source{}, sdk.Permanent(fmt.Errorf("%s is not in the configuration any more", r.id))
	case n.handle == nil:
		return nil, config.Source{}, fmt.Errorf("%s is not open (%s)", r.id, n.view.Reason)
	}
	return n.handle, n.source.cfg, nil
}

// resolved reports whether this process has seen which revision is the newest.
func (r *repository) resolved() bool {
	r.engine.mu.Lock()
	defer r.engine.mu.Unlock()
	n := r.engine.nodes[r.id]
	return n != nil && n.source != nil && n.source.resolved > 0
}

// refresh has the source asked for its newest revision, by its own job, so that
// everybody has news of it.
func (r *repository) refresh(ctx context.Context) error {
	e := r.engine
	if err := e.await(ctx, e.submit([]string{r.id}, nil)); err != nil {
		return fmt.Errorf("%s: %w", r.id, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch n := e.nodes[r.id]; {
	case n == nil || n.source == nil:
		return sdk.Permanent(fmt.Errorf("%s is not in the configuration any more", r.id))
	case n.suspended() != nil:
		return fmt.Errorf("%s is %s", r.id, n.suspended())
	case n.failure != nil:
		return fmt.Errorf("%s: %w", r.id, n.failure)
	}
	return nil
}

// Commit implements writeback.Repository. The source is asked for the new
// revision at once, so that its syncs do not wait for the next poll.
func (r *repository) Commit(ctx context.Context, c source.Change) (source.Revision, error) {
	in, cfg, err := r.open()
	if err != nil {
		return source.Revision{}, err
	}
	committer, ok := in.Source().(source.Committer)
	if !ok || !in.Has(source.CanCommit) {
		return source.Revision{}, sdk.Permanent(fmt.Errorf("%s takes no commits", r.id))
	}
	ctx, cancel := deadline.Within(ctx, cfg.Timeout)
	defer cancel()
	rev, err := committer.Commit(ctx, c)
	if made := cmp.Or(rev.ID, writtenIn(err)); made != "" && r.branch == "" {
		r.committed(made)
	}
	return rev, deadline.Because(ctx, err)
}

// writtenIn is the revision that a commit has made in spite of conflicts.
func writtenIn(err error) string {
	if conflict, ok := errors.AsType[*source.ConflictError](err); ok {
		return conflict.Written.ID
	}
	return ""
}

// committed notes the commit and has the source asked for it.
func (r *repository) committed(revision string) {
	e := r.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[r.id]; n != nil {
		e.updates.Committed(revision, n.begun)
		e.triggerLocked(r.id, sched.Interactive)
	}
}
