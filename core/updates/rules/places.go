package rules

import (
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// PlaceImages has rendered containers say where their image stands in the files
// that they are rendered from: at an entry of a kustomization that makes it, or
// in the container of that name in the file of origin. Of the others no more is
// known than where their object begins.
func PlaceImages(rendered []edit.Workload, sources edit.Found) {
	for _, w := range rendered {
		for n := range w.Containers {
			c := &w.Containers[n]
			if c.Line != w.Line {
				continue // the file is a copy, and the line is right
			}
			if file, line, ok := placeBehind(w, *c, sources); ok {
				c.File, c.Line = file, line
			}
		}
	}
}

func placeBehind(w edit.Workload, c edit.Container, sources edit.Found) (file string, line int, ok bool) {
	for _, k := range sources.Kustomize {
		if ref.Same(k.Reference(), c.Image) {
			return k.File, k.Line, true
		}
	}
	for _, src := range sources.Workloads {
		for _, o := range src.Containers {
			if src.File == w.File && src.Ref.Kind == w.Ref.Kind && o.Name == c.Name && ref.Same(o.Image, c.Image) {
				return src.File, o.Line, true
			}
		}
	}
	return "", 0, false
}
