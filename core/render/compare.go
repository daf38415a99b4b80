package render

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// objects is what a directory declares, by identity. JSON has sorted keys, so
// that equal objects are equal bytes.
type objects map[applier.Ref]manifest.Object

func load(ctx context.Context, r Rendered) (objects, error) {
	res, err := manifest.Load(ctx, r.Dir, manifest.Options{Origin: r.Origin})
	if err != nil {
		return nil, err
	}
	if err := res.Problems.Err(); err != nil {
		return nil, err
	}
	all := objects{}
	for _, o := range res.Objects {
		all[o.Ref.Identity()] = o
	}
	return all, nil
}

// meant returns the objects of r after edits: those of workloads, made in the
// rendered files. Edits that fail there have an error and change nothing.
func meant(ctx context.Context, r Rendered, o edit.Options, edits []edit.Edit, scratch string) (objects, []error, error) {
	t, err := edit.Open(ctx, r.Dir, edit.TreeOptions{Options: o})
	if err != nil {
		return nil, nil, err
	}
	changes, errs := t.Apply(ctx, edits)
	if err := os.RemoveAll(scratch); err != nil {
		return nil, nil, err
	}
	if err := copyTree(ctx, r.Dir, scratch); err != nil {
		return nil, nil, err
	}
	for _, c := range changes {
		if err := os.WriteFile(filepath.Join(scratch, filepath.FromSlash(c.Path)), c.New, 0o600); err != nil {
			return nil, nil, err
		}
	}
	wanted := r
	wanted.Dir = scratch
	all, err := load(ctx, wanted)
	return all, errs, err
}

// differences says in which objects have is not want, for a person.
func differences(want, have objects) []string {
	var list []string
	for ref, o := range want {
		switch h, ok := have[ref]; {
		case !ok:
			list = append(list, fmt.Sprintf("%s would be gone", ref))
		case string(h.JSON) != string(o.JSON):
			list = append(list, fmt.Sprintf("%s would not be as it should", ref))
		}
	}
	for ref := range have {
		if _, ok := want[ref]; !ok {
			list = append(list, fmt.Sprintf("%s would be new", ref))
		}
	}
	slices.Sort(list)
	return list
}

// unintended is the error of an edit that makes differences.
func unintended(where string, list []string) error {
	const most = 3
	more := ""
	if n := len(list); n > most {
		list, more = list[:most], fmt.Sprintf(", and %d more", n-most)
	}
	return fmt.Errorf("the change in %s was rendered and is not what is wanted: %s%s; change it by hand", where, strings.Join(list, ", "), more)
}
