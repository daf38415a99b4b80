package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// recall completes the record of a planned release where this process has none: a
// resource in the cluster that declares a release of another name, which is the
// resource's, was moved. It asks for the resources only if there is such a release.
func (p *planning) recall(ctx context.Context, job *releaseJob) error {
	d := job.declared
	if d.Resource == nil || d.Err != nil || job.record.Ref.Name != "" {
		return nil
	}
	seen, err := job.host.Observer.Observe(ctx, d.Spec.Ref, d.Spec.Owner)
	if err != nil || len(seen.Others) == 0 {
		return nil //nolint:nilerr // the plan meets it, and says it better
	}
	all, err := p.resourcesOf(ctx, d.Applier)
	if err != nil {
		return err
	}
	was, there := all[job.id]
	ours := slices.ContainsFunc(seen.Others, func(o release.Owned) bool { return o.Ref == was.resource.Spec.Ref })
	if there && was.resource.Finalized && ours {
		job.record = release.Record{Owner: d.Spec.Owner, Ref: was.resource.Spec.Ref, Uninstall: was.resource.Spec.Uninstall}
	}
	return nil
}

// resourcesOf are the custom resources that are in the cluster of an applier now,
// by the ids of their nodes.
func (p *planning) resourcesOf(ctx context.Context, id string) (map[string]parsed, error) {
	if all, asked := p.live[id]; asked {
		return all, nil
	}
	e := p.engine
	e.mu.Lock()
	h := e.helmOf(id)
	f := newFollowing(h)
	if open := e.followingFor(h); open != nil {
		f = open
	}
	e.mu.Unlock()
	if f.keeper == nil {
		return nil, fmt.Errorf("%s cannot tell which custom resources there are", id)
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	all, complete := map[string]parsed{}, false
	err := f.keeper.Follow(ctx, applier.ResourceFilter{Kinds: resource.Kinds()}, func(r applier.Resource) {
		switch {
		case complete:
		case r.Ref == applier.Ref{}:
			complete = true
			enough()
		case r.Ref.Name != "":
			one := parse(r, f.Options)
			all[one.resource.ID(f.Name)] = one
		}
	})
	if !complete {
		return nil, fmt.Errorf("which custom resources there are: %w", err)
	}
	if p.live == nil {
		p.live = map[string]map[string]parsed{}
	}
	p.live[id] = all
	return all, nil
}

// removals plans the ends of the releases whose resources a sync deletes.
func (p *planning) removals(ctx context.Context, sync string, refs []applier.Ref) []PlanResult {
	refs = slices.DeleteFunc(slices.Clone(refs), func(ref applier.Ref) bool { return !declaresRelease(ref) })
	e := p.engine
	e.mu.Lock()
	h := e.helmOf(e.nodes[sync].sync.cfg.Applier)
	e.mu.Unlock()
	if len(refs) == 0 || h == nil || !h.helm.cfg.Resources {
		return nil
	}
	all, err := p.resourcesOf(ctx, h.helm.cfg.Applier)
	if err == nil {
		e.selectOnly([]string{h.id})
		err = e.await(ctx, e.submit([]string{h.id}, nil))
	}
	if err != nil {
		return []PlanResult{{Node: sync, Error: words.OneLine(err)}}
	}
	var results []PlanResult
	for _, ref := range refs {
		id := resource.Resource{Ref: ref}.ID(nameOf(h.helm.cfg.Applier))
		one, there := all[id]
		if !there {
			continue
		}
		res := PlanResult{Node: id}
		if res.Release, err = p.removal(ctx, id, h, one); err != nil {
			res.Error = words.OneLine(err)
		}
		results = append(results, res)
	}
	return results
}

// removal plans the end of the release of a resource that is about to be deleted.
func (p *planning) removal(ctx context.Context, id string, h *node, one parsed) (*release.Plan, error) {
	e := p.engine
	e.mu.Lock()
	d := newFollowing(h).Resource(one.resource, one.err, func(id string) bool { return e.nodes[id] != nil })
	n := &node{id: id}
	e.recallRelease(n, d)
	heir := heirOf(e.nodes, n)
	if h.handle == nil {
		defer e.mu.Unlock()
		return nil, fmt.Errorf("%s is not open: %s", h.id, h.view.Reason)
	}
	host := e.releaseHost(n, h)
	e.mu.Unlock()
	var plan release.Plan
	l := leave.Resource(d, leave.Deletion{}, now())
	text, err := l.End(ctx, d, n.release.record, leave.Work{
		HandOver: func() string {
			if heir == nil {
				return ""
			}
			return heir.id
		},
		Uninstall: func(ctx context.Context, m release.Removal) (removed bool, err error) {
			plan, err = e.releases.runner.PlanRemoval(ctx, m, host, d.Place+" is deleted")
			return true, err
		},
		Free:   func(context.Context, string) error { return nil },
		Logger: e.log,
	})
	if plan.Action == "" { // nothing is done to the release
		plan = release.Plan{State: release.OutOfSync, Action: release.ActNone, Reason: fmt.Sprintf("%s is deleted: %s.", d.Place, text)}
	}
	return &plan, err
}
