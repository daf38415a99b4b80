package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// place is a way to make an edit of a rendered workload: in one file, as that
// file knows it.
type place struct {
	file   string
	edit   edit.Edit
	says   string // the image of the container there
	asItIs bool   // what is rendered is the file itself
}

// places returns where the ith edit may be made, the likeliest first. Whether
// it is right shows when it is rendered. None means that it is for the plugin.
// Files that others may render too are left alone: if nothing else says the
// image, an entry that does is the last place.
func (a *application) places(i int) []place {
	list := slices.DeleteFunc(a.allPlaces(i), func(p place) bool { return !p.asItIs && !a.isOwn(p.file) })
	w, rendered, ok := a.workloadOf(a.edits[i])
	if a.updater != nil || !ok || !a.isKnown(rendered) || a.edits[i].Image == "" {
		return list
	}
	if p, ok := a.addition(a.edits[i], w, imageOf(w, a.edits[i].Container)); ok {
		list = append(list, p)
	}
	return list
}

// workloadOf returns the workload of an edit, in its place of origin and in
// that in what was rendered.
func (a *application) workloadOf(e edit.Edit) (origin, rendered edit.Workload, ok bool) {
	at := slices.IndexFunc(a.declared, func(w edit.Workload) bool { return sameWorkload(w.ID, e.Workload, a.options.Namespace) })
	if at < 0 {
		return origin, rendered, false
	}
	return a.declared[at], a.rendered[at], true
}

// isKnown reports whether it is known which file a rendered workload is made
// from, and is no copy of.
func (a *application) isKnown(rendered edit.Workload) bool {
	origin, ok := a.before.Origins[rendered.File]
	return ok && origin.Line > 0
}

// allPlaces returns where the files say what the ith edit changes, whoever
// they belong to.
func (a *application) allPlaces(i int) []place {
	e := a.edits[i]
	w, rendered, ok := a.workloadOf(e)
	if !ok {
		return nil
	}
	if origin, known := a.before.Origins[rendered.File]; known && origin.Line == 0 { // the file is what it says
		return []place{{file: w.File, edit: e, asItIs: true}}
	}
	if a.updater != nil || !a.isKnown(rendered) {
		return nil
	}
	var list []place
	current := imageOf(w, e.Container)
	if e.Image != "" {
		list = a.entries(e, current)
	}
	governed := len(list) > 0
	for _, p := range append(a.atOrigin(e, w), a.patches(e, w, current)...) {
		if !governed || p.says == current { // else an entry replaces what the file says
			list = append(list, p)
		}
	}
	return list
}

// sameWorkload compares an ID with that of an edit, which may leave out the
// namespace.
func sameWorkload(id, wanted, namespace string) bool {
	if !strings.Contains(wanted, ":") {
		wanted = namespace + ":" + wanted
	}
	ns, name, _ := strings.Cut(wanted, ":")
	kind, name, _ := strings.Cut(name, "/")
	return id == ns+":"+strings.ToLower(kind)+"/"+name
}

func imageOf(w edit.Workload, container string) string {
	for _, c := range w.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// entries are those of kustomizations for the current image, of the paths that
// are rendered before others: an overlay decides over its base.
func (a *application) entries(e edit.Edit, current string) (list []place) {
	for _, k := range a.sources.Kustomize {
		if sameImage(k.Name, current) || sameImage(k.NewName, current) {
			list = append(list, place{file: k.File, edit: edit.Edit{Kustomize: k.Name, From: k.Reference(), Image: e.Image}})
		}
	}
	overlay := func(p place) int {
		if slices.Contains(a.paths, path.Dir(p.file)) || slices.Contains(a.paths, p.file) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(x, y place) int { return overlay(x) - overlay(y) })
	return list
}

// sameImage compares the names of two references.
func sameImage(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, errX := ref.Parse(a)
	y, errY := ref.Parse(b)
	return errX == nil && errY == nil && x.CanonicalName() == y.CanonicalName()
}

// atOrigin is the object that w is rendered from; where its line is not
// certain, those of its kind in that file.
func (a *application) atOrigin(e edit.Edit, w edit.Workload) (list []place) {
	for _, exact := range []bool{true, false} {
		for _, s := range a.sources.Workloads {
			if s.File == w.File && s.Ref.Kind == w.Ref.Kind && (s.Line == w.Line) == exact {
				e.Workload, e.From = s.ID, ""
				list = append(list, place{file: s.File, edit: e, says: imageOf(s, e.Container)})
			}
		}
	}
	return list
}

// patches are objects that add to w: they have its kind, and say the image that
// is to be changed, or the annotation; or they could say it, being the sync's
// own and of the same name.
func (a *application) patches(e edit.Edit, w edit.Workload, current string) (list []place) {
	for _, s := range slices.Backward(a.sources.Workloads) {
		if s.Ref.Kind != w.Ref.Kind || s.File == w.File {
			continue
		}
		says := e.Image != "" && imageOf(s, e.Container) == current
		for key := range e.Set {
			says = says || s.Annotations[key] != "" || a.isOwn(s.File) && strings.Contains(w.Ref.Name, s.Ref.Name)
		}
		for _, key := range e.Remove {
			says = says || s.Annotations[key] != ""
		}
		if says {
			e.Workload, e.From = s.ID, ""
			list = append(list, place{file: s.File, edit: e, says: imageOf(s, e.Container)})
		}
	}
	return list
}

// groups puts edits together that would be made in the same place.
func (a *application) groups(edits []int) [][]int {
	var groups [][]int
	at := map[string]int{}
	for _, i := range edits {
		key := fmt.Sprint(i)
		if places := a.places(i); len(places) > 0 && places[0].edit.Kustomize != "" {
			key = fmt.Sprintf("%s %s %s", places[0].file, places[0].edit.Kustomize, places[0].edit.Image)
		}
		g, ok := at[key]
		if !ok {
			g = len(groups)
			at[key] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

// where names the files that are changed, for errors.
func (a *application) where() string {
	var files []string
	for file, c := range a.changed {
		if string(c.old) != string(c.new) {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	if len(files) > 3 {
		files = append(files[:3], "...")
	}
	return strings.Join(files, ", ")
}
