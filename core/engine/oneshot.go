package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
)

// PlanResult is what a run of one sync or release would do, or why that cannot be
// told.
type PlanResult struct {
	Node    string        `json:"node"`
	Plan    *rollout.Plan `json:"plan,omitempty"`    // of a sync
	Release *release.Plan `json:"release,omitempty"` // of a release
	Error   string        `json:"error,omitempty"`

	// File and Line are where the resource stands that declares the release, if
	// a sync applies it: relative to the root of the sync's source.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`

	// Problems are, of a sync, what the plugins of its source and applier report
	// about their configuration, and of a release, what is wrong with its
	// declaration or its values. There may be warnings beside a Plan.
	Problems []rollout.Problem `json:"problems,omitempty"`
}

// ApplyOptions configures Apply.
type ApplyOptions struct {
	Names    []string       // sync names or ids; empty: all
	Approve  []string       // digests of deletions that are allowed; "all": any
	Progress func(Progress) // may be nil
}

// Plan tells what runs of the named syncs and releases, or of all, would change,
// without a daemon and without changing anything. The custom resources among the
// objects of a sync that declare releases are planned as such, also those that it
// deletes, and with the ConfigMaps and Secrets that the planned syncs are about to
// apply. With all come the
// releases that the data directory remembers and nobody declares any more. It works
// beside a running daemon, from a temporary data directory. Load must have been
// called and found no errors.
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
	ids, err := e.resolveNames(names, appliedNodes)
	if err != nil {
		return nil, err
	}
	stop := e.listen(slices.Concat(ids, e.sourcesOf(ids)), progress)
	defer stop()
	if err := e.prepare(ctx, ids); err != nil {
		return nil, err
	}
	p := &planning{engine: e}
	syncs := p.planSyncs(ctx, ids)
	var results []PlanResult
	for _, id := range ids {
		if e.isRelease(id) {
			results = append(results, p.release(ctx, id))
			continue
		}
		results = append(results, syncs[id])
		results = append(results, p.resources(ctx, id)...)
	}
	for _, id := range ids {
		if plan := syncs[id].Plan; plan != nil && plan.Held == "" {
			results = append(results, p.removals(ctx, id, plan.Prune)...)
		}
	}
	if len(names) == 0 {
		gone, err := e.planUndeclared()
		if err != nil {
			return nil, err
		}
		results = append(results, gone...)
	}
	return results, ctx.Err()
}

// prepare resolves the sources of syncs and opens their appliers, and runs
// nothing else: a sync that began with what an earlier process has fetched would
// apply an old revision first.
func (e *Engine) prepare(ctx context.Context, ids []string) error {
	needed := slices.Concat(e.handlesOf(ids), e.sourcesOf(ids))
	e.selectOnly(needed)
	return e.await(ctx, e.submit(needed, nil))
}

// unprepared returns why a one-shot cannot run or plan n, nil if it can: there
// is nobody to come back later, so the revision must be the newest one. e.mu is
// held.
func (e *Engine) unprepared(n *node) error {
	var errs []error
	for _, id := range n.instances() {
		switch need := e.nodes[id]; {
		case need.failure != nil:
			errs = append(errs, fmt.Errorf("%s: %w", id, need.failure))
		case need.view.State != Ready:
			errs = append(errs, fmt.Errorf("%s is %s: %s", id, need.view.State, need.view.Reason))
		}
	}
	return joined(errs)
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
	e.opts.DataDir, e.aside = dir, true
	if diags := e.Load(ctx); diags.HasErrors() {
		return diags.Err()
	}
	return e.start(ctx, false)
}

// planOne plans one sync, whatever it depends on. A source that failed is an
// error: a plan of an old revision would mislead.
func (e *Engine) planOne(ctx context.Context, id string) PlanResult {
	res := PlanResult{Node: id}
	job, err := e.planJob(&res)
	if err != nil {
		res.Error = words.OneLine(err)
		return res
	}
	defer job.release()
	l, err := e.load(ctx, job)
	if err == nil {
		e.progress(id, rollout.Progress{Step: rollout.StepPlan, Total: l.Objects})
		res.Plan, err = rollout.PlanOnly(ctx, job.applier, job.req, l)
	}
	if err == nil && res.Plan.Emptied() {
		err = errors.New(string(res.Plan.Held))
	}
	if err != nil {
		res.Error = words.OneLine(err)
	}
	return res
}

// planJob returns the input of a plan, and adds to res what plugins say.
func (e *Engine) planJob(res *PlanResult) (*syncJob, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[res.Node]
	src, app := e.nodes[n.sync.cfg.Source], e.nodes[n.sync.cfg.Applier]
	res.Problems = slices.Concat(src.view.Problems, app.view.Problems)
	if err := e.unprepared(n); err != nil {
		return nil, err
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
	ids, err := e.resolveNames(o.Names, appliedNodes)
	if err != nil {
		return nil, err
	}
	ids = e.withDependencies(ids)
	stop := e.listen(slices.Concat(ids, e.sourcesOf(ids)), o.Progress)
	defer stop()
	if err := e.prepare(ctx, ids); err != nil {
		return nil, err
	}
	e.selectOnly(ids)
	if err := e.await(ctx, e.submit(ids, nil)); err != nil {
		return nil, err
	}
	before := e.ended(ids)
	approved := e.approveAll(ctx, e.outcomes(ids), o.Approve)
	if err := e.await(ctx, e.submit(approved, before)); err != nil {
		return nil, err
	}
	return e.outcomes(ids), nil
}

// approveAll approves what waits and is allowed, and returns the syncs that
// this concerns.
func (e *Engine) approveAll(ctx context.Context, details []Detail, allowed []string) []string {
	var approved []string
	for _, d := range details {
		digest := d.Node.Approval
		if digest == "" || !slices.Contains(allowed, digest) && !slices.Contains(allowed, "all") {
			continue
		}
		if _, err := e.Approve(ctx, ApproveRequest{Name: d.Node.ID, Digest: digest, By: "sluice apply"}); err != nil {
			e.log.WarnContext(ctx, "cannot approve", "node", d.Node.ID, "err", err)
			continue
		}
		approved = append(approved, d.Node.ID)
	}
	return approved
}

func (e *Engine) selectOnly(ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.selected = map[string]bool{}
	for _, id := range ids {
		e.selected[id] = true
	}
}

func (e *Engine) handlesOf(ids []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var open []string
	for _, id := range ids {
		for _, in := range e.nodes[id].instances() {
			if e.nodes[in].source == nil {
				open = append(open, in)
			}
		}
	}
	slices.Sort(open)
	return slices.Compact(open)
}

// withDependencies adds the syncs and releases that ids need.
func (e *Engine) withDependencies(ids []string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := slices.Clone(ids)
	for _, id := range ids {
		for _, dep := range e.graph.AllDependencies(id) {
			if appliedNodes(e.nodes[dep]) {
				all = append(all, dep)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
