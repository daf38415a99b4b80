// Package blockimages finds the images in the values of a release block, and
// changes them where they stand: in files of values, or in the block itself.
//
// To whoever looks after images, a release block with values in a source is a
// sync of these files, which declares one workload: the release. What it has of
// images is what all its values come to, as far as the daemon has them at hand.
// An image that does not stand whole in one place that nothing stronger replaces
// is there all the same, and says why it cannot be changed.
//
// Nothing is written: Edit returns the new contents of files. A Values is read
// only, and may be used by several goroutines.
package blockimages

import (
	"context"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Values are the values of a release block, as far as the daemon has them
// at hand: those of its block, and of the files in a tree.
type Values struct {
	Block  config.Release
	Config *config.Config // that the block is of
	Tree   *tree.Tree     // of the source that ValuesFiles tells; nil: of no file
}

// kind is that of a release block in the name of a workload.
const kind = "Release"

// Ref names the release of a block as a workload.
func Ref(r *config.Release) applier.Ref {
	return applier.Ref{Kind: kind, Namespace: r.Namespace, Name: r.ReleaseName}
}

// ID is the release's as a workload: shop:release/web.
func (v Values) ID() string { return workload.ID(Ref(&v.Block)) }

// Options say how files of values are read for their images.
func (v Values) Options() edit.Options { return edit.Options{Values: v.ID()} }

// Images returns what files of values hold, and the release as the only
// workload: with the images that all values come to. cache may be nil.
func (v Values) Images(ctx context.Context, cache *edit.Cache) (edit.Found, error) {
	var found edit.Found
	var layers []layer
	if _, paths := v.Block.ValuesFiles(); v.Tree != nil && len(paths) > 0 {
		files, err := edit.Open(ctx, v.Tree.Dir, edit.TreeOptions{Options: v.Options(), Paths: paths, Cache: cache, Tree: v.Tree.Digest})
		if err != nil {
			return found, err
		}
		found = files.Found()
		for _, w := range found.Workloads {
			layers = append(layers, layer{Workload: w})
		}
	}
	if len(v.Block.Values.JSON) > 0 {
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

func problemAt(file string, line int, summary, detail string) diag.Diagnostic {
	at := diag.Pos{Line: line}
	return diag.Diagnostic{Severity: diag.Error, Summary: summary, Detail: detail, Subject: &diag.Range{File: file, Start: at, End: at}}
}
