package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Workload is something that runs containers in one of the clusters, or a
// release block, whose containers are the images in its values.
type Workload struct {
	ID         string              `json:"id"` // shop:deployment/web
	Applier    string              `json:"applier"`
	Owner      string              `json:"owner,omitempty"` // name of the sync that owns it; of a release block, its address
	Containers []applier.Container `json:"containers"`      // in the order of the pod, init containers last
	Rollout    applier.Rollout     `json:"rollout"`
	Policies   []string            `json:"policies"` // of automated, ignore, locked; sorted
	Warnings   []string            `json:"warnings,omitempty"`

	raw    applier.Workload
	policy policy.Workload
}

// WorkloadsRequest narrows what is listed; empty fields match everything.
type WorkloadsRequest struct {
	Namespace string `json:"namespace,omitempty"`
	Applier   string `json:"applier,omitempty"` // address
}

// WorkloadsAnswer is what runs, ordered by applier and id, and why some of it
// may be missing.
type WorkloadsAnswer struct {
	Workloads []Workload `json:"workloads"`
	Problems  []string   `json:"problems,omitempty"` // appliers that did not answer
}

// Workloads asks the appliers what runs. One that does not answer is a problem
// of the answer; it is an error if none does.
func (e *Engine) Workloads(ctx context.Context, req WorkloadsRequest) (WorkloadsAnswer, error) {
	e.awaitOpen(ctx, req.Applier)
	open, err := e.openAppliers(req.Applier)
	if err != nil {
		return WorkloadsAnswer{}, err
	}
	answer := WorkloadsAnswer{Workloads: []Workload{}}
	var errs []error
	for _, a := range open {
		patience := workloadsTimeout
		if _, has := ctx.Deadline(); has {
			patience = 0 // the caller's own
		}
		looking, cancel := bounded(ctx, patience)
		list, err := a.workloads(looking, req.Namespace, e.setup())
		err = because(looking, err)
		cancel()
		if err != nil {
			errs = append(errs, err)
			answer.Problems = append(answer.Problems, oneLine(err))
		}
		if err == nil {
			list = append(list, e.releaseWorkloads(ctx, a.id, req.Namespace)...)
			slices.SortFunc(list, func(a, b Workload) int { return cmp.Compare(a.ID, b.ID) })
		}
		answer.Workloads = append(answer.Workloads, list...)
	}
	if len(errs) == len(open) {
		return WorkloadsAnswer{}, errors.Join(errs...)
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
		return nil, refuse(ErrNotFound, "there is no applier %s in the configuration", address)
	}
	slices.SortFunc(found, func(a, b openApplier) int { return cmp.Compare(a.id, b.id) })
	return found, nil
}

// workloads lists what runs there, in any order.
func (a openApplier) workloads(ctx context.Context, namespace string, setup *imageSetup) ([]Workload, error) {
	if a.handle == nil {
		return nil, fmt.Errorf("%s is not open: %s", a.id, a.closed)
	}
	lister, ok := a.handle.Applier().(applier.WorkloadLister)
	if !ok || !a.handle.Has(applier.CanListWorkloads) {
		return nil, fmt.Errorf("%s: this plugin cannot tell what runs", a.id)
	}
	var list []Workload
	filter := applier.WorkloadFilter{Namespace: namespace, Kinds: setup.list}
	err := lister.Workloads(ctx, filter, func(w applier.Workload) {
		setup.readContainers(&w)
		list = append(list, newWorkload(a.id, w))
	})
	if err != nil {
		return nil, fmt.Errorf("%s: what runs: %w", a.id, err)
	}
	return list, nil
}

func newWorkload(applierID string, raw applier.Workload) Workload {
	w := Workload{
		ID: workloadID(raw.Ref), Applier: applierID, Owner: raw.Owner, Rollout: raw.Rollout,
		Containers: slices.Clone(raw.Containers), Policies: []string{}, raw: raw,
	}
	slices.SortStableFunc(w.Containers, func(a, b applier.Container) int {
		switch {
		case a.Init == b.Init:
			return 0
		case a.Init:
			return 1
		}
		return -1
	})
	w.policy = policy.Of(raw.Annotations)
	w.raw.Annotations = nil // up to 256 KiB of each workload are not kept for the few that count
	w.Warnings = w.warnings()
	for name, set := range map[string]bool{"automated": w.policy.Automated, "locked": w.policy.Locked, "ignore": w.policy.Ignored} {
		if set {
			w.Policies = append(w.Policies, name)
		}
	}
	slices.Sort(w.Policies)
	return w
}

// readContainers finds the images of an object that has them in places of its
// own kind.
func (s *imageSetup) readContainers(w *applier.Workload) {
	if w.Object == nil {
		return
	}
	for _, found := range edit.Scan(w.Object, s.options(w.Ref.Namespace)).Workloads {
		for _, c := range found.Containers {
			w.Containers = append(w.Containers, applier.Container{Name: c.Name, Image: c.Image, Init: c.Init})
		}
	}
	w.Object = nil // it was read
}

// workloadID is how people name a workload: namespace:kind/name.
func workloadID(ref applier.Ref) string {
	return ref.Namespace + ":" + strings.ToLower(ref.Kind) + "/" + ref.Name
}
