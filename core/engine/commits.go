package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
)

// editFiles implements writeback.Options.Edit: it edits the files of a sync, or
// those from which they are rendered.
func (e *Engine) editFiles(ctx context.Context, id string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
	cfg, o, err := e.filesOf(id)
	if err != nil {
		return nil, same(err, len(edits))
	}
	if t.Source != cfg.Source { // its paths and renderer are for other files
		return nil, same(fmt.Errorf("%s reads %s now, and no longer %s", id, cfg.Source, t.Source), len(edits))
	}
	if cfg.Renderer != "" {
		files, errs := e.editRendered(ctx, cfg, t, o, edits)
		for i, err := range errs {
			errs[i] = passingTrouble(err)
		}
		return files, errs
	}
	if v, ok := e.valuesOf(id); ok {
		v.tree = &tree.Tree{Dir: t.Dir, Digest: t.Digest}
		return e.editValues(ctx, v, edits)
	}
	files, err := edit.Open(ctx, t.Dir, edit.TreeOptions{Options: o, Paths: cfg.Paths, Cache: e.updating.files, Tree: t.Digest})
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
	if said || sdk.IsPermanent(err) || !errors.Is(err, pluginhost.ErrPluginExited) && !errors.Is(err, pluginhost.ErrClosed) && !errors.Is(err, errNotOpen) {
		return err
	}
	return sdk.RetryAfter(err, troublePause)
}

// commitMarks tell, of the commits that this process has made, which run of
// their source was the last to begin before: a later one has seen the commit,
// or what came after it.
type commitMarks struct {
	runs  map[string]uint64 // by revision
	order []string
}

// maxCommitMarks bounds how many are kept. Without one, a revision counts as
// applied when the sync has seen any newest revision.
const maxCommitMarks = 1000

func (m *commitMarks) add(revision string, run uint64) {
	if m.runs == nil {
		m.runs = map[string]uint64{}
	}
	if _, known := m.runs[revision]; !known {
		m.order = append(m.order, revision)
	}
	m.runs[revision] = run
	if len(m.order) > maxCommitMarks {
		delete(m.runs, m.order[0])
		m.order = m.order[1:]
	}
}

// hasApplied reports whether a sync has applied a revision that was committed
// here, or a later one; so it has if it is not there any more. A release has
// when it was tried. e.mu is held.
func (e *Engine) hasApplied(n *node, revision string) bool {
	files, ok := n.files()
	if !ok {
		return true
	}
	if n.release != nil {
		tried, reads := n.release.tried[files.Source]
		if n.release.tried != nil && !reads {
			return true // only its block is there, which somebody brings back
		}
		src := e.nodes[files.Source].source
		return tried == revision || tried == src.revision.ID && src.resolved > e.updating.marks.runs[revision]
	}
	s := n.sync
	if s.record.Config != syncFingerprint(s.cfg) {
		return false
	}
	return s.record.Revision.ID == revision || s.seen > e.updating.marks.runs[revision]
}
