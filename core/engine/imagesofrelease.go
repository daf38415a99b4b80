package engine

import (
	"cmp"
	"context"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
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
	b.Name = r.Address // see Workload.Owner
	return config.Sync{Block: b, Source: source, Applier: r.Applier, Paths: paths}, source != ""
}

// filedNodes are those with files that images stand in.
func filedNodes(n *node) bool {
	_, ok := n.files()
	return ok
}

// valuesOf are the values of a release node, of no tree yet. ok is false if it has
// no block.
func (e *Engine) valuesOf(id string) (v releaseValues, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.nodes[id].block()
	if r == nil {
		return v, false
	}
	return releaseValues{block: *r, cfg: e.running.cfg}, true
}

// block is the block that declares a release, nil if n is something else.
func (n *node) block() *config.Release {
	if n == nil || n.release == nil || n.release.leaving != nil {
		return nil
	}
	return n.release.declared.Block
}

const (
	releasePrefix = "release."
	releaseKind   = "Release" // of a release block in the name of a workload
)

func releaseRef(r *config.Release) applier.Ref {
	return applier.Ref{Kind: releaseKind, Namespace: r.Namespace, Name: r.ReleaseName}
}

// releaseWorkloads are the release blocks of an applier, as workloads, ordered by
// id. What of their values is not known yet is not there.
func (e *Engine) releaseWorkloads(ctx context.Context, applierID, namespace string) []Workload {
	type declared struct {
		raw     applier.Workload
		address string
		values  releaseValues
	}
	var all []declared
	e.mu.Lock()
	for id, n := range e.nodes {
		r := n.block()
		if r == nil || r.Applier != applierID || namespace != "" && r.Namespace != namespace {
			continue
		}
		d := declared{raw: applier.Workload{Ref: releaseRef(r), Owner: id, Rollout: n.release.rollout()}, address: id, values: releaseValues{block: *r, cfg: e.running.cfg}}
		if cfg, ok := n.files(); ok {
			if src := e.nodes[cfg.Source]; src != nil && src.source.tree != nil {
				d.values.tree, _ = e.trees.Get(treeKey(src.source.cfg, src.source.revision))
			}
		}
		all = append(all, d)
	}
	e.mu.Unlock()
	list := make([]Workload, 0, len(all))
	for _, d := range all {
		found, err := e.imagesOf(ctx, d.values)
		if err != nil {
			e.log.DebugContext(ctx, "the images in the values are not known", "node", d.address, "err", err)
		}
		for _, w := range found.Workloads {
			for _, c := range w.Containers {
				d.raw.Containers = append(d.raw.Containers, applier.Container{Name: c.Name, Image: c.Image})
			}
		}
		if d.values.tree != nil {
			d.values.tree.Release()
		}
		list = append(list, newWorkload(applierID, d.raw))
	}
	slices.SortFunc(list, func(a, b Workload) int { return cmp.Compare(a.ID, b.ID) })
	return list
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

// releaseValues are the values of a release block, as far as the daemon has them
// at hand: those of its block, and of the files in a tree.
type releaseValues struct {
	block config.Release
	cfg   *config.Config // that the block is of
	tree  *tree.Tree     // of the source that ValuesFiles tells; nil: of no file
}

func (v releaseValues) id() string { return workloadID(releaseRef(&v.block)) }

// imagesOf returns what files of values hold, and the release as the only
// workload: with the images that all values come to.
func (e *Engine) imagesOf(ctx context.Context, v releaseValues) (edit.Found, error) {
	var found edit.Found
	var layers []valuesLayer
	if _, paths := v.block.ValuesFiles(); v.tree != nil && len(paths) > 0 {
		files, err := edit.Open(ctx, v.tree.Dir, edit.TreeOptions{Options: edit.Options{Values: v.id()}, Paths: paths, Cache: e.editCache(), Tree: v.tree.Digest})
		if err != nil {
			return found, err
		}
		found = files.Found()
		for _, w := range found.Workloads {
			layers = append(layers, valuesLayer{Workload: w})
		}
	}
	if len(v.block.Values.JSON) > 0 {
		layers = append(layers, inlineLayer(v))
	}
	found.Workloads = nil
	if len(layers) == 0 {
		return found, nil
	}
	w, problems := v.compose(layers)
	found.Workloads, found.Problems = []edit.Workload{w}, slices.Concat(found.Problems, problems)
	return found, nil
}

// editCache is the cache for files that may be edited; nil without one.
func (e *Engine) editCache() *edit.Cache {
	if e.updating == nil {
		return nil
	}
	return e.updating.files
}
