package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
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
	return n.release.declared.block
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
	id := v.id()
	var found edit.Found
	layers := []valuesLayer{}
	if _, paths := v.block.ValuesFiles(); v.tree != nil && len(paths) > 0 {
		files, err := edit.Open(ctx, v.tree.Dir, edit.TreeOptions{Options: edit.Options{Values: id}, Paths: paths, Cache: e.editCache(), Tree: v.tree.Digest})
		if err != nil {
			return found, err
		}
		found = files.Found()
		for _, w := range found.Workloads {
			l := valuesLayer{Workload: w}
			var problem *diag.Diagnostic
			if l.values, problem = readValues(v.tree.Dir, w.File); problem != nil {
				found.Problems = append(slices.Clone(found.Problems), *problem)
			}
			layers = append(layers, l)
		}
	}
	if len(v.block.Values.JSON) > 0 {
		layers = append(layers, inlineLayer(v))
	}
	return composeImages(id, found, layers), nil
}

// editCache is the cache for files that may be edited; nil without one.
func (e *Engine) editCache() *edit.Cache {
	if e.updating == nil {
		return nil
	}
	return e.updating.files
}

// readValues reads a file of values of a tree.
func readValues(dir, file string) (map[string]any, *diag.Diagnostic) {
	problem := func(line int, text string) *diag.Diagnostic {
		d := problemAt(file, line, diag.Error, text, "Its images are not known, and not updated.")
		return &d
	}
	text, err := readInTree(dir, file)
	if err != nil {
		return nil, problem(0, "cannot be read")
	}
	v, err := values.Parse(text)
	if err != nil {
		line := 1
		if at, ok := err.(*values.Error); ok { //nolint:errorlint // Parse says what its errors are
			line = at.Line
		}
		return nil, problem(line, oneLine(err))
	}
	return v, nil
}

// valuesLayer is one of the places that values come from, with what it says of
// images.
type valuesLayer struct {
	edit.Workload
	values map[string]any
	inline *releaseValues // nil: it is a file
}

func inlineLayer(v releaseValues) valuesLayer {
	l := valuesLayer{inline: &v}
	for _, w := range edit.Scan(v.block.Values.JSON, edit.Options{Values: v.id()}).Workloads {
		l.Workload = w
	}
	l.values, _ = values.Parse(v.block.Values.JSON) // config has made it
	return l
}

// place is where the layer says something of a container's image.
func (l valuesLayer) place(container string) string {
	if l.inline == nil {
		return fmt.Sprintf("%s:%d", l.File, l.Sets[container])
	}
	return l.inline.place(container).String()
}

// place is where the block says something of a container's image.
func (v releaseValues) place(container string) diag.Range {
	if container == edit.ChartImage {
		return v.block.Values.Locate(diag.Attr("image"))
	}
	return v.block.Values.Locate(diag.Attr(container))
}

// composeImages makes one workload of the layers, weakest first: its containers
// have the images that all together come to. One whose image stands whole in a
// file, and in nothing stronger, has that file; of the others, which cannot be
// changed in one place, Fixed says why.
func composeImages(id string, found edit.Found, layers []valuesLayer) edit.Found {
	found.Workloads = nil
	all := map[string]any{}
	for _, l := range layers {
		values.Merge(all, l.values)
	}
	text, err := json.Marshal(all)
	if err != nil || len(layers) == 0 {
		return found
	}
	composed := edit.Scan(text, edit.Options{Values: id}).Workloads
	for i := range composed {
		w := &composed[i]
		w.File, w.Line = "", 0 // there may be many
		for k := range w.Containers {
			w.Containers[k] = place(w.Containers[k], layers)
		}
	}
	found.Workloads = composed
	return found
}

// place gives a container that layers come to the place of its image.
func place(c edit.Container, layers []valuesLayer) edit.Container {
	c.Line = 0
	for _, l := range slices.Backward(layers) {
		if _, says := l.Sets[c.Name]; !says {
			continue
		}
		at := slices.IndexFunc(l.Containers, func(o edit.Container) bool { return o.Name == c.Name && o.Image == c.Image })
		switch {
		case at < 0:
			c.Fixed = fmt.Sprintf("only a part of it stands at %s", l.place(c.Name))
		case l.inline != nil:
			c = l.inline.placed(c)
		default:
			c = l.Containers[at]
			c.File, c.Markers = l.File, slices.Clone(c.Markers)
			for k := range c.Markers {
				c.Markers[k].File = l.File
			}
		}
		return c
	}
	return c
}
