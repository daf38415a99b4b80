package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sluice-gitops/sluice/core/rollout"
)

// PlanResult is what a run of one sync would do, or why that cannot be told.
type PlanResult struct {
	Node  string        `json:"node"`
	Plan  *rollout.Plan `json:"plan,omitempty"`
	Error string        `json:"error,omitempty"`
}

// ApplyOptions configures Apply.
type ApplyOptions struct {
	Names    []string       // sync names or ids; empty: all
	Approve  []string       // digests of deletions that are allowed; "all": any
	Progress func(Progress) // may be nil
}

// Plan tells what runs of the named syncs, or of all, would change, without a
// daemon and without changing anything. It works beside a running daemon, from
// a temporary data directory. Load must have been called and found no errors.
func (e *Engine) Plan(ctx context.Context, names []string, progress func(Progress)) ([]PlanResult, error) {
	if err := e.ConfigError(); err != nil {
		return nil, err
	}
	err := e.start(ctx, false)
	if errors.Is(err, ErrLocked) {
		err = e.startAside(ctx)
	}
	if err != nil {
		return nil, err
	}
	ids, err := e.resolveNames(names, syncNodes)
	if err != nil {
		return nil, err
	}
	sources := e.sourcesOf(ids)
	stop := e.listen(slices.Concat(ids, sources), progress)
	defer stop()
	prepare := slices.Concat(sources, e.appliersOf(ids))
	e.selectOnly(prepare)
	if err := e.await(ctx, e.submit(prepare, nil)); err != nil {
		return nil, err
	}
	results := make([]PlanResult, len(ids))
	for i, id := range ids {
		results[i] = e.planOne(ctx, id)
	}
	return results, ctx.Err()
}

// startAside starts with a data directory of its own, because a daemon has the
// configured one.
func (e *Engine) startAside(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "sluice-plan-")
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	e.log.InfoContext(ctx, "a daemon uses data_dir: planning from a temporary one", "dir", dir)
	e.onClose(func(context.Context) error { return os.RemoveAll(dir) })
	e.opts.DataDir = dir
	if diags := e.Load(ctx); diags.HasErrors() {
		return diags.Err()
	}
	return e.start(ctx, false)
}

// planOne plans one sync, whatever it depends on. A source that failed is an
// error: a plan of an old revision would mislead.
func (e *Engine) planOne(ctx context.Context, id string) PlanResult {
	res := PlanResult{Node: id}
	job, err := e.planJob(id)
	if err != nil {
		res.Error = err.Error()
		return res
	}
	defer job.release()
	l, err := e.load(ctx, job)
	if err == nil {
		e.progress(id, rollout.Progress{Step: rollout.StepPlan, Total: l.Objects})
		res.Plan, err = rollout.PlanOnly(ctx, job.applier, job.req, l)
	}
	if err != nil {
		res.Error = err.Error()
	}
	return res
}

func (e *Engine) planJob(id string) (*syncJob, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	src, app := e.nodes[n.sync.cfg.Source], e.nodes[n.sync.cfg.Applier]
	for _, need := range []*node{src, app} {
		if need.view.State != Ready {
			return nil, fmt.Errorf("%s is %s: %s", need.id, need.view.State, need.view.Reason)
		}
	}
	return e.syncJob(n, src, app)
}

// Apply runs the named syncs and what they depend on, or all, once, without a
// daemon, and returns them in the order of their ids. It is refused with
// ErrLocked while a daemon has the data directory. Load must have been called
// and found no errors.
func (e *Engine) Apply(ctx context.Context, o ApplyOptions) ([]Detail, error) {
	if err := e.ConfigError(); err != nil {
		return nil, err
	}
	if err := e.start(ctx, false); err != nil {
		return nil, err
	}
	ids, err := e.resolveNames(o.Names, syncNodes)
	if err != nil {
		return nil, err
	}
	ids = e.withDependencies(ids)
	e.selectOnly(slices.Concat(ids, e.sourcesOf(ids), e.appliersOf(ids)))
	stop := e.listen(slices.Concat(ids, e.sourcesOf(ids)), o.Progress)
	defer stop()
	if err := e.await(ctx, e.submit(e.appliersOf(ids), nil)); err != nil {
		return nil, err
	}
	details, err := e.runAndWait(ctx, ids)
	if err != nil || !e.approveAll(ctx, details, o.Approve) {
		return details, err
	}
	return e.runAndWait(ctx, ids)
}

// approveAll approves what waits and is allowed; it reports whether there was
// anything.
func (e *Engine) approveAll(ctx context.Context, details []Detail, allowed []string) bool {
	any := false
	for _, d := range details {
		digest := d.Node.Approval
		if digest == "" || !slices.Contains(allowed, digest) && !slices.Contains(allowed, "all") {
			continue
		}
		if _, err := e.Approve(ctx, ApproveRequest{Name: d.Node.ID, Digest: digest, By: "sluice apply"}); err != nil {
			e.log.WarnContext(ctx, "cannot approve", "node", d.Node.ID, "err", err)
			continue
		}
		any = true
	}
	return any
}

func (e *Engine) selectOnly(ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.selected = map[string]bool{}
	for _, id := range ids {
		e.selected[id] = true
	}
}

func (e *Engine) appliersOf(ids []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var appliers []string
	for _, id := range ids {
		appliers = append(appliers, e.nodes[id].sync.cfg.Applier)
	}
	slices.Sort(appliers)
	return slices.Compact(appliers)
}

// withDependencies adds the syncs that ids need.
func (e *Engine) withDependencies(ids []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(ids)
	for _, id := range ids {
		for _, dep := range e.graph.AllDependencies(id) {
			if e.nodes[dep].sync != nil {
				all = append(all, dep)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
