package edit_test

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// describe prints what was found, a line for each.
func describe(f edit.Found) string {
	var b strings.Builder
	for _, w := range f.Workloads {
		fmt.Fprintf(&b, "%s%d: %s %s\n", place(w.File), w.Line, w.ID, w.Ref)
		for _, c := range w.Containers {
			fmt.Fprintf(&b, "  %d: %s %s = %s init=%v\n", c.Line, c.Form, c.Name, c.Image, c.Init)
		}
	}
	for _, m := range f.Markers {
		fmt.Fprintf(&b, "%s%d: marker %s part %q = %s flux=%v\n", place(m.File), m.Line, m.Policy, m.Part, m.Value, m.Flux)
	}
	for _, k := range f.Kustomize {
		fmt.Fprintf(&b, "%s%d: kustomize %s -> %s:%s@%s\n", place(k.File), k.Line, k.Name, k.NewName, k.NewTag, k.Digest)
	}
	for _, p := range f.Problems {
		fmt.Fprintf(&b, "%s: %s: %s\n", p.Severity, p.Subject, p.Summary)
	}
	return b.String()
}

func place(file string) string {
	if file == "" {
		return ""
	}
	return file + ":"
}

// allEdits returns edits of all that was found, and those that undo them:
// another tag for each image, one more annotation for each workload.
func allEdits(f edit.Found) (edits, back []edit.Edit) {
	add := func(e edit.Edit, image string) {
		r, err := ref.Parse(image)
		if err != nil {
			return
		}
		e.Image = r.WithTag("1.10").String()
		edits = append(edits, e)
		e.Image = image
		back = append(back, e)
	}
	for _, w := range f.Workloads {
		for _, c := range w.Containers {
			add(edit.Edit{Workload: w.ID, Container: c.Name}, c.Image)
		}
		edits = append(edits, edit.Edit{Workload: w.ID, Set: map[string]string{"sluice.dev/automated": "true"}})
		if _, ok := w.Annotations["sluice.dev/automated"]; !ok {
			back = append(back, edit.Edit{Workload: w.ID, Remove: []string{"sluice.dev/automated"}})
		}
	}
	for _, m := range f.Markers {
		if m.Part == "" {
			add(edit.Edit{Marker: m.Policy, Flux: m.Flux}, m.Value)
		} else {
			edits = append(edits, edit.Edit{Marker: m.Policy, Flux: m.Flux, Image: "ghcr.io/org/app:1.10@sha256:" + strings.Repeat("c", 64)})
		}
	}
	for _, k := range f.Kustomize {
		name := cmp.Or(k.NewName, k.Name)
		add(edit.Edit{Kustomize: k.Name, Nth: k.Nth}, name+":"+cmp.Or(k.NewTag, "0"))
	}
	return edits, back
}
