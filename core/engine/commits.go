package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// editFiles implements writeback.Options.Edit: it edits the files of a sync, or
// those from which they are rendered.
func (e *Engine) editFiles(ctx context.Context, id string, t writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
	cfg, o, err := e.filesOf(id)
	if err != nil {
		return nil, same(err, len(edits))
	}
	if cfg.Renderer != "" {
		return e.editRendered(ctx, cfg, t, o, edits)
	}
	files, err := edit.Open(ctx, t.Dir, edit.TreeOptions{Options: o, Paths: cfg.Paths, Cache: e.updating.files, Tree: t.Digest})
	if err != nil {
		return nil, same(err, len(edits))
	}
	return files.Apply(ctx, edits)
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
// here, or a later one. e.mu is held.
func (e *Engine) hasApplied(n *node, revision string) bool {
	s := n.sync
	if s.record.Config != syncFingerprint(s.cfg) {
		return false
	}
	return s.record.Revision.ID == revision || s.seen > e.updating.marks.runs[revision]
}

// changeEnded implements writeback.Options.Done.
func (e *Engine) changeEnded(c writeback.Change, o writeback.Outcome) {
	e.updating.counts.count(o)
	e.tellOutcome(c, o)
	switch c.Cause.Kind {
	case writeback.Automation, writeback.Revert:
		e.noteAutomated(c, o)
	default:
		e.noteForJob(c, o)
	}
}

// written reports whether edit i of a change stands in git now.
func written(o writeback.Outcome, i int) bool {
	return o.Err == "" && (i >= len(o.Errors) || o.Errors[i] == "")
}

// whyNot is why edit i of a change was not written.
func whyNot(o writeback.Outcome, i int) string {
	if o.Err != "" || i >= len(o.Errors) {
		return o.Err
	}
	return o.Errors[i]
}

// repeats reports whether an automation has failed at all of the same before: it
// tries again and again, and once is enough to be told.
func (e *Engine) repeats(c writeback.Change, o writeback.Outcome) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[c.Cause.Job]
	if n == nil || n.automation == nil {
		return false
	}
	for i, ed := range c.Edits {
		for _, sub := range subjectsOf(e.setup().book, ed) {
			if written(o, i) || n.automation.trouble[sub] != whyNot(o, i) {
				return false
			}
		}
	}
	return true
}

// tellOutcome publishes what became of a change.
func (e *Engine) tellOutcome(c writeback.Change, o writeback.Outcome) {
	if e.repeats(c, o) {
		return
	}
	node := c.Source
	if c.Cause.Kind == writeback.Automation || c.Cause.Kind == writeback.Revert {
		node = c.Cause.Job
	}
	tell := func(reason, object, text string) {
		ev := eventOf(node, reason, text)
		ev.Revision, ev.Object = o.Revision.ID, object
		ev.Attrs = map[string]string{"source": c.Source, "sync": c.Sync, "cause": c.Cause.Kind}
		if c.Branch != "" {
			ev.Attrs["branch"] = c.Branch
		}
		e.publishEvent(ev)
		e.log.Log(context.Background(), levels[ev.Severity], text, "node", node, "event", reason, "revision", o.Revision.ID)
	}
	if o.Err != "" {
		tell(eventCommitFailed, objectOf(c.Edits), fmt.Sprintf("nothing was written to %s: %s", c.Source, o.Err))
		return
	}
	var done []string
	for i, ed := range c.Edits {
		if written(o, i) {
			done = append(done, describeEdit(ed))
		} else {
			tell(eventEditConflict, ed.Workload, fmt.Sprintf("not written: %s: %s", describeEdit(ed), whyNot(o, i)))
		}
	}
	if len(done) > 0 && !o.Unchanged {
		tell(eventCommitted, objectOf(c.Edits), fmt.Sprintf("%s: %s", describeRevision(o.Revision), strings.Join(done, ", ")))
	}
}

// objectOf is the workload that all edits are of, "" if there are several.
func objectOf(edits []edit.Edit) string {
	for _, ed := range edits {
		if ed.Workload != edits[0].Workload {
			return ""
		}
	}
	if len(edits) == 0 {
		return ""
	}
	return edits[0].Workload
}

// describeEdit says in a few words what an edit does.
func describeEdit(ed edit.Edit) string {
	switch {
	case ed.Marker != "":
		return fmt.Sprintf("markers %q to %s", ed.Marker, ed.Image)
	case ed.Kustomize != "":
		return fmt.Sprintf("image %s to %s", ed.Kustomize, ed.Image)
	case ed.Image != "":
		text := fmt.Sprintf("%s %s", ed.Workload, ed.Container)
		if ed.From != "" {
			text += " from " + ed.From
		}
		return text + " to " + ed.Image
	}
	return fmt.Sprintf("annotations of %s", ed.Workload)
}
