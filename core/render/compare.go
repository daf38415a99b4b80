package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// objects is what a directory declares.
type objects struct {
	byRef    map[applier.Ref]manifest.Object // JSON has sorted keys: equal objects are equal bytes
	problems []string                        // what is wrong with the rest, without its places
}

func load(ctx context.Context, r Rendered) (objects, error) {
	res, err := manifest.Load(ctx, r.Dir, manifest.Options{Origin: r.Origin})
	if err != nil {
		return objects{}, err
	}
	all := objects{byRef: map[applier.Ref]manifest.Object{}}
	for _, o := range res.Objects {
		all.byRef[o.Ref.Identity()] = o
	}
	for _, p := range res.Problems {
		if p.Severity == diag.Error {
			all.problems = append(all.problems, p.Subject.File+": "+p.Summary)
		}
	}
	return all, nil
}

// meant returns the objects of r after edits: those of workloads, made in the
// rendered files. Edits that fail there have an error and change nothing.
func meant(ctx context.Context, r Rendered, o edit.Options, edits []edit.Edit, scratch string) (objects, []error, error) {
	t, err := edit.Open(ctx, r.Dir, edit.TreeOptions{Options: o})
	if err != nil {
		return objects{}, nil, err
	}
	changes, errs := t.Apply(ctx, edits)
	if err := errors.Join(os.RemoveAll(scratch), copyTree(ctx, r.Dir, scratch)); err != nil {
		return objects{}, nil, err
	}
	for _, c := range changes {
		if err := os.WriteFile(filepath.Join(scratch, filepath.FromSlash(c.Path)), c.New, 0o600); err != nil {
			return objects{}, nil, err
		}
	}
	wanted := r
	wanted.Dir = scratch
	all, err := load(ctx, wanted)
	return all, errs, err
}

// difference is one between what is rendered and what is meant.
type difference struct {
	ref  applier.Ref // of the object; zero for a problem
	text string      // for a person
}

// isOf reports whether it is one of the object, of which namespace is meant
// where it names none.
func (d difference) isOf(object applier.Ref, namespace string) bool {
	if d.ref.Namespace == "" {
		d.ref.Namespace = namespace
	}
	return d.ref == object.Identity()
}

// differences says in which objects have is not want, ordered by the words.
func differences(want, have objects) []difference {
	var list []difference
	for ref, o := range want.byRef {
		switch h, ok := have.byRef[ref]; {
		case !ok:
			list = append(list, difference{ref, fmt.Sprintf("%s would be gone", ref)})
		case string(h.JSON) != string(o.JSON):
			list = append(list, difference{ref, fmt.Sprintf("%s %s", ref, howDiffer(o.JSON, h.JSON))})
		}
	}
	for ref := range have.byRef {
		if _, ok := want.byRef[ref]; !ok {
			list = append(list, difference{ref, fmt.Sprintf("%s would be new", ref)})
		}
	}
	for _, p := range have.problems {
		if !slices.Contains(want.problems, p) {
			list = append(list, difference{text: p})
		}
	}
	slices.SortFunc(list, func(a, b difference) int { return strings.Compare(a.text, b.text) })
	return list
}

// unintended is the error of an edit that makes differences.
func unintended(where string, diffs []difference) error {
	const most = 3
	var list []string
	for _, d := range diffs[:min(len(diffs), most)] {
		list = append(list, d.text)
	}
	more := ""
	if n := len(diffs); n > most {
		more = fmt.Sprintf(", and %d more", n-most)
	}
	return fmt.Errorf("the change in %s was rendered and is not what is wanted: %s%s; change it by hand", where, strings.Join(list, ", "), more)
}
