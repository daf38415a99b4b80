package blockimages

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// layer is one of the places that values come from, with what it says of
// images.
type layer struct {
	edit.Workload
	inline *Values // nil: it is a file
}

func inlineLayer(v Values) layer {
	l := layer{inline: &v}
	for _, w := range edit.Scan(v.Block.Values.JSON, v.Options()).Workloads {
		l.Workload = w
	}
	return l
}

// compose makes one workload of the layers, weakest first: its containers have
// the images that all together come to. One whose image stands whole in a file,
// and in nothing stronger, has that file; of the others, which cannot be changed
// in one place, Fixed says why.
func (v Values) compose(layers []layer) (w edit.Workload, problems diag.List) {
	w = edit.Workload{ID: v.ID(), Ref: Ref(&v.Block), Annotations: map[string]string{}}
	if contested(layers) {
		w.Containers, problems = v.composed(layers)
	} else {
		for _, l := range layers {
			w.Containers = append(w.Containers, l.Containers...)
		}
		slices.SortFunc(w.Containers, func(a, b edit.Container) int {
			switch edit.ChartImage {
			case a.Name:
				return -1
			case b.Name:
				return 1
			}
			return cmp.Compare(a.Name, b.Name)
		})
	}
	for i, c := range w.Containers {
		w.Containers[i] = placeIn(layers, c)
	}
	return w, problems
}

// contested reports whether several layers say something of one image, so that it
// takes all values to tell what it is.
func contested(layers []layer) bool {
	for i, l := range layers {
		for _, c := range l.Containers {
			for k, other := range layers {
				if _, says := other.Sets[c.Name]; says && i != k {
					return true
				}
			}
		}
	}
	return false
}

// composed are the images that the values of all layers come to.
func (v Values) composed(layers []layer) (list []edit.Container, problems diag.List) {
	all := map[string]any{}
	for _, l := range layers {
		text := []byte(v.Block.Values.JSON)
		if l.inline == nil {
			var err error
			if text, err = readInTree(v.Tree.Dir, l.File); err != nil {
				problems = append(problems, problemAt(l.File, 0, words.OneLine(err), "Its images are not known, and not updated."))
				continue
			}
		}
		part, err := values.Parse(text)
		if at, ok := errors.AsType[*values.Error](err); ok {
			problems = append(problems, problemAt(l.File, at.Line, words.OneLine(err), "Its images are not known, and not updated."))
			continue
		}
		values.Merge(all, part)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, append(problems, problemAt(layers[0].File, 0, "the values hold a number that is none", "Their images are not known, and not updated."))
	}
	for _, w := range edit.Scan(text, v.Options()).Workloads {
		list = append(list, w.Containers...)
	}
	return list, problems
}

// placeIn gives a container that layers come to the place of its image.
func placeIn(layers []layer, c edit.Container) edit.Container {
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

// place is where the layer says something of a container's image.
func (l layer) place(container string) string {
	if l.inline == nil {
		return fmt.Sprintf("%s:%d", l.File, l.Sets[container])
	}
	return l.inline.place(container).String()
}

// place is where the block says something of a container's image.
func (v Values) place(container string) diag.Range {
	if container == edit.ChartImage {
		return v.Block.Values.Locate(diag.Attr("image"))
	}
	return v.Block.Values.Locate(diag.Attr(container))
}
