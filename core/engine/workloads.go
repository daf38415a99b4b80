package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Workloads asks the appliers what runs. One that does not answer is a problem
// of the answer; it is an error if none does.
func (e *Engine) Workloads(ctx context.Context, req workload.Request) (workload.Answer, error) {
	e.awaitOpen(ctx, req.Applier)
	open, err := e.openAppliers(req.Applier)
	if err != nil {
		return workload.Answer{}, err
	}
	answer := workload.Answer{Workloads: []workload.Workload{}}
	var errs []error
	for _, a := range open {
		patience := workloadsTimeout
		if _, has := ctx.Deadline(); has {
			patience = 0 // the caller's own
		}
		looking, cancel := deadline.Within(ctx, patience)
		list, err := a.workloads(looking, req.Namespace, e.setup())
		err = deadline.Because(looking, err)
		cancel()
		if err != nil {
			errs = append(errs, err)
			answer.Problems = append(answer.Problems, words.OneLine(err))
		}
		if err == nil {
			list = append(list, e.releaseWorkloads(ctx, a.id, req.Namespace)...)
			e.nameReleases(a.id, list)
			slices.SortFunc(list, func(a, b workload.Workload) int { return cmp.Compare(a.ID, b.ID) })
		}
		answer.Workloads = append(answer.Workloads, list...)
	}
	if len(errs) == len(open) {
		return workload.Answer{}, errors.Join(errs...)
	}
	return answer, nil
}

// openApplier is an applier that can be asked.
type openApplier struct {
	id     string
	handle instance
	closed string // why it has no handle
}

// workloadsTimeout bounds how long one applier is asked what runs by somebody who
// sets no limit: people wait for it.
const workloadsTimeout = 30 * time.Second

// openPatience is how long somebody who asks what runs waits for appliers that
// are being opened, as all are when the daemon starts.
const openPatience = 10 * time.Second

// awaitOpen waits a little for appliers, or the one with the address, that are
// being opened.
func (e *Engine) awaitOpen(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	for {
		e.mu.Lock()
		opening := false
		for id, n := range e.nodes {
			opening = opening || n.isApplier() && n.handle == nil && n.busy() && (address == "" || id == address)
		}
		changed := e.changed
		e.mu.Unlock()
		if !opening {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// openAppliers returns the appliers, or the one with the address.
func (e *Engine) openAppliers(address string) ([]openApplier, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []openApplier
	for id, n := range e.nodes {
		if n.isApplier() && (address == "" || id == address) {
			found = append(found, openApplier{id: id, handle: n.handle, closed: n.view.Reason})
		}
	}
	if len(found) == 0 {
		return nil, refusal.NotFound("there is no applier %s in the configuration", address)
	}
	slices.SortFunc(found, func(a, b openApplier) int { return cmp.Compare(a.id, b.id) })
	return found, nil
}

// workloads lists what runs there, in any order.
func (a openApplier) workloads(ctx context.Context, namespace string, setup *rules.Setup) ([]workload.Workload, error) {
	if a.handle == nil {
		return nil, fmt.Errorf("%s is not open: %s", a.id, a.closed)
	}
	lister, ok := a.handle.Applier().(applier.WorkloadLister)
	if !ok || !a.handle.Has(applier.CanListWorkloads) {
		return nil, fmt.Errorf("%s: this plugin cannot tell what runs", a.id)
	}
	var list []workload.Workload
	filter := applier.WorkloadFilter{Namespace: namespace, Kinds: setup.Kinds()}
	err := lister.Workloads(ctx, filter, func(w applier.Workload) {
		setup.ReadContainers(&w)
		list = append(list, workload.New(a.id, w))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: what runs: %w", a.id, err)
	}
	return list, nil
}
