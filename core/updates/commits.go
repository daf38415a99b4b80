package updates

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
)

// editFiles implements writeback.Options.Edit: it edits the files of a sync, or
// those from which they are rendered.
func (u *Updater) editFiles(ctx context.Context, id string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
	f, ok := u.site.Files(id)
	if !ok {
		return nil, same(gone(id), len(edits))
	}
	cfg, o := f.Sync, u.options(f)
	if t.Source != cfg.Source { // its paths and renderer are for other files
		return nil, same(fmt.Errorf("%s reads %s now, and no longer %s", id, cfg.Source, t.Source), len(edits))
	}
	if cfg.Renderer != "" {
		files, errs := u.editRendered(ctx, cfg, t, o, edits)
		for i, err := range errs {
			errs[i] = passingTrouble(err)
		}
		return files, errs
	}
	if v := f.Block; v != nil {
		v.Tree = &tree.Tree{Dir: t.Dir, Digest: t.Digest}
		return v.Edit(ctx, u.files, edits)
	}
	files, err := edit.Open(ctx, t.Dir, edit.TreeOptions{Options: o, Paths: cfg.Paths, Cache: u.files, Tree: t.Digest})
	if err != nil {
		return nil, same(sdk.RetryAfter(err, troublePause), len(edits)) // what is wrong in a file is no error
	}
	return files.Apply(ctx, edits)
}

// troublePause is when edits are tried again that something kept from being made
// that passes.
const troublePause = 10 * time.Second

// passingTrouble has what failed because a plugin is away tried again. An error
// that says itself what is to come of it is left alone.
func passingTrouble(err error) error {
	_, said := sdk.RetryDelay(err)
	if said || sdk.IsPermanent(err) || !errors.Is(err, pluginhost.ErrPluginExited) && !errors.Is(err, pluginhost.ErrClosed) && !errors.Is(err, render.ErrNotOpen) {
		return err
	}
	return sdk.RetryAfter(err, troublePause)
}

// editRendered edits the files from which a sync's manifests are rendered. All of
// it may take as long as one rendering; what is not done then waits for twice as
// long, so that it does not keep the other syncs of its source waiting.
func (u *Updater) editRendered(ctx context.Context, cfg config.Sync, t writeback.Tree, o edit.Options, edits []edit.Edit) ([]edit.FileChange, []error) {
	r, err := u.site.Renderer(cfg.Renderer)
	if err != nil {
		return nil, same(err, len(edits))
	}
	work, err := os.MkdirTemp(u.workDir, "edit-")
	if err != nil {
		return nil, same(sdk.RetryAfter(err, r.Timeout), len(edits)) // a disk, which may be full
	}
	editing, cancel := deadline.Within(ctx, r.Timeout)
	defer cancel()
	changes, errs := render.Apply(editing, r.Renderer, t.Dir, cfg.Paths, o, filepath.Join(work, "tree"), edits)
	for i, err := range errs {
		if err != nil && editing.Err() != nil && errors.Is(err, context.Cause(editing)) {
			errs[i] = sdk.RetryAfter(fmt.Errorf("%s: edit what %s renders: %w", cfg.Address, cfg.Renderer, err), 2*r.Timeout)
		}
	}
	if err := os.RemoveAll(work); err != nil {
		u.log.WarnContext(ctx, "cannot remove what was rendered to be edited", "dir", work, "err", err)
	}
	return changes, errs
}

// same is err n times.
func same(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
