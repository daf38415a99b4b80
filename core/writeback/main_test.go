package writeback_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// editTree is an Options.Edit over the whole tree.
func editTree(ctx context.Context, _ string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
	tree, err := edit.Open(ctx, t.Dir, edit.TreeOptions{Tree: t.Digest})
	if err != nil {
		errs := make([]error, len(edits))
		for i := range errs {
			errs[i] = err
		}
		return nil, errs
	}
	return tree.Apply(ctx, edits)
}

// editAndDie is editTree, with a step after it.
func editAndDie(step func(string) error) func(context.Context, string, writeback.Tree, []edit.Edit) ([]edit.FileChange, []error) {
	return func(ctx context.Context, sync string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
		files, errs := editTree(ctx, sync, t, edits)
		_ = step("edit")
		return files, errs
	}
}

// failing is edit, except that a workload lacks its container.
func failing(plain func(context.Context, string, writeback.Tree, []edit.Edit) ([]edit.FileChange, []error), workload string) func(context.Context, string, writeback.Tree, []edit.Edit) ([]edit.FileChange, []error) {
	return func(ctx context.Context, sync string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
		files, errs := plain(ctx, sync, t, edits)
		files = slices.DeleteFunc(files, func(f edit.FileChange) bool { return f.Path == workload })
		for n, e := range edits {
			if e.Workload == workload {
				errs[n] = errors.New("no such container")
			}
		}
		return files, errs
	}
}
