package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/release/blockimages"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// To what looks after images, a release block with values in a source is a sync
// of these files, which declares one workload: the release.

// files are the files that the images of n stand in, and where they go, as a
// sync: that of a sync itself, or of a release block with files of values. ok is
// false if n, which may be nil, has none.
func (n *node) files() (cfg config.Sync, ok bool) {
	switch {
	case n == nil:
		return cfg, false
	case n.sync != nil:
		return n.sync.cfg, true
	case n.block() == nil:
		return cfg, false
	}
	r := n.block()
	source, paths := r.ValuesFiles()
	b := r.Block
	b.Name = r.Address // see workload.Workload.Owner
	return config.Sync{Block: b, Source: source, Applier: r.Applier, Paths: paths}, source != ""
}

// block is the block that declares a release, nil if n is something else.
func (n *node) block() *config.Release {
	if n == nil || n.release == nil || n.release.leaving != nil {
		return nil
	}
	return n.release.declared.Block
}

// releaseWorkloads are the release blocks of an applier, as workloads, ordered by
// id. What of their values is not known yet is not there.
func (e *Engine) releaseWorkloads(ctx context.Context, applierID, namespace string) []workload.Workload {
	type declared struct {
		raw     applier.Workload
		address string
		values  blockimages.Values
	}
	var all []declared
	e.mu.Lock()
	for id, n := range e.nodes {
		r := n.block()
		if r == nil || r.Applier != applierID || namespace != "" && r.Namespace != namespace {
			continue
		}
		d := declared{raw: applier.Workload{Ref: blockimages.Ref(r), Owner: id, Rollout: n.release.rollout()}, address: id, values: blockimages.Values{Block: *r, Config: e.running.cfg}}
		if cfg, ok := n.files(); ok {
			if src := e.nodes[cfg.Source]; src != nil && src.source.tree != nil {
				d.values.Tree, _ = e.trees.Get(treeKey(src.source.cfg, src.source.revision))
			}
		}
		all = append(all, d)
	}
	e.mu.Unlock()
	list := make([]workload.Workload, 0, len(all))
	for _, d := range all {
		found, err := d.values.Images(ctx, e.editCache())
		if err != nil {
			e.log.DebugContext(ctx, "the images in the values are not known", "node", d.address, "err", err)
		}
		for _, w := range found.Workloads {
			for _, c := range w.Containers {
				d.raw.Containers = append(d.raw.Containers, applier.Container{Name: c.Name, Image: c.Image})
			}
		}
		if d.values.Tree != nil {
			d.values.Tree.Release()
		}
		list = append(list, workload.New(applierID, d.raw))
	}
	slices.SortFunc(list, func(a, b workload.Workload) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// nameReleases tells of the workloads of an applier that declare a release which
// one that is.
func (e *Engine) nameReleases(applierID string, list []workload.Workload) {
	e.mu.Lock()
	defer e.mu.Unlock()
	declared := map[string]string{} // releases by the ids of workloads
	for _, n := range e.nodes {
		if n.release == nil || n.release.declared.Applier != applierID {
			continue
		}
		ref, _ := n.release.declared.Release(n.release.record)
		switch d := n.release.declared; {
		case n.block() != nil:
			declared[workload.ID(blockimages.Ref(n.block()))] = ref.Namespace + "/" + ref.Name
		case d.Resource != nil:
			declared[workload.ID(d.Resource.Ref)] = ref.Namespace + "/" + ref.Name
		}
	}
	for i, w := range list {
		list[i].Release = cmp.Or(declared[w.ID], w.Release)
	}
}

// rollout tells how the last run of a release has fared, as a workload does. The
// caller holds Engine.mu.
func (r *releaseNode) rollout() applier.Rollout {
	switch {
	case r.report == nil:
		return applier.Rollout{Phase: applier.RolloutStarted}
	case r.report.Err != nil:
		return applier.Rollout{Phase: applier.RolloutFailed, Message: r.report.Reason}
	case r.synced == "":
		return applier.Rollout{Phase: applier.RolloutUpdating, Message: r.report.Reason}
	}
	return applier.Rollout{Phase: applier.RolloutReady}
}

// editCache is the cache for files that may be edited; nil without one.
func (e *Engine) editCache() *edit.Cache {
	if e.updates == nil {
		return nil
	}
	return e.updates.EditCache()
}
