package updates

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// changesEnded implements writeback.Options.Done.
func (u *Updater) changesEnded(list []writeback.Ended) {
	u.tellOutcomes(list)
	automated := map[string][]writeback.Ended{} // by automation
	var writings []gate.Written
	for _, end := range list {
		writings = append(writings, u.writtenBy(end.Change, end.Outcome)...)
		u.counts.count(end.Outcome)
		switch end.Change.Cause.Kind {
		case writeback.Automation, writeback.Revert:
			automated[end.Change.Cause.Job] = append(automated[end.Change.Cause.Job], end)
		default:
			u.noteForJob(end.Change, end.Outcome)
		}
	}
	u.noteWritten(writings) // before anybody looks again
	for id, ended := range automated {
		u.noteAutomated(id, ended)
	}
}

// told is an edit with what came of it.
type told struct {
	edit.Edit
	why string // it was not written
}

// news is what one step of the queue has come to for one node.
type news struct {
	node                       string
	changes                    []writeback.Change
	revision                   string // in words
	id                         string // of the revision
	done, failures, conflicted []told
}

// tellOutcomes publishes what became of changes: one event for all that was
// written by one commit, and for all that failed together.
func (u *Updater) tellOutcomes(list []writeback.Ended) {
	var all []*news
	for _, end := range list {
		c, o := end.Change, end.Outcome
		node := c.Source
		if c.Cause.Kind == writeback.Automation || c.Cause.Kind == writeback.Revert {
			node = c.Cause.Job
		}
		i := slices.IndexFunc(all, func(n *news) bool { return n.node == node && n.id == o.Revision.ID })
		if i < 0 {
			i = len(all)
			all = append(all, &news{node: node, id: o.Revision.ID, revision: words.Revision(o.Revision)})
		}
		all[i].changes = append(all[i].changes, c)
		u.sort(all[i], c, o)
	}
	for _, n := range all {
		u.tellNews(n)
	}
}

// sort adds the edits of a change to what is told. What an automation has failed
// at in the same way before was told then.
func (u *Updater) sort(n *news, c writeback.Change, o writeback.Outcome) {
	for i, ed := range c.Edits {
		ed.From = c.From(i)
		at := told{ed, o.WhyNot(i)}
		switch {
		case o.Wrote(i):
			if !o.Unchanged {
				n.done = append(n.done, at)
			}
		case u.repeats(c.Cause.Job, subjectsOf(u.Setup().Book, ed), at.why):
		case o.Err != "" && !slices.Contains(o.Withdrawn, i):
			n.failures = append(n.failures, at)
		default:
			n.conflicted = append(n.conflicted, at)
		}
	}
}

func (u *Updater) tellNews(n *news) {
	source := n.changes[0].Source
	if len(n.failures) > 0 {
		u.tell(n, EventCommitFailed, n.failures, fmt.Sprintf("nothing was written to %s: %s", source, reasons(n.failures)))
	}
	if len(n.conflicted) > 0 {
		u.tell(n, EventEditConflict, n.conflicted, "not written: "+listed(n.conflicted, "; ", func(t told) string { return describeEdit(t.Edit) + ": " + t.why }))
	}
	if len(n.done) > 0 {
		u.tell(n, EventCommitted, n.done, fmt.Sprintf("%s: %s", n.revision, listed(n.done, ", ", func(t told) string { return describeEdit(t.Edit) })))
	}
}

// tell publishes an event about edits, and logs it.
func (u *Updater) tell(n *news, reason string, about []told, text string) {
	c := n.changes[0]
	ev := eventOf(n.node, reason, text)
	ev.Revision, ev.Object = n.id, objectOf(about)
	ev.Attrs = map[string]string{"source": c.Source, "cause": c.Cause.Kind, "edits": fmt.Sprint(len(about))}
	if !slices.ContainsFunc(n.changes, func(other writeback.Change) bool { return other.Sync != c.Sync }) {
		ev.Attrs["sync"] = c.Sync
	}
	if c.Branch != "" {
		ev.Attrs["branch"] = c.Branch
	}
	u.site.Publish(ev)
	u.log.Log(context.Background(), ev.Severity.Level(), text, "node", n.node, "event", reason, "revision", n.id)
}

// reasons says why edits failed: the first reason, with what it is about if that
// is more than one.
func reasons(failures []told) string {
	first := failures[0].why
	var same, other []told
	for _, t := range failures {
		if t.why == first {
			same = append(same, t)
		} else {
			other = append(other, t)
		}
	}
	if len(failures) == 1 {
		return first
	}
	text := fmt.Sprintf("%s (%s: %s)", first, words.Count(len(same), "image"), listed(same, ", ", func(t told) string { return placeOf(t.Edit) }))
	if len(other) > 0 {
		text += fmt.Sprintf("; for other reasons %s", listed(other, ", ", func(t told) string { return placeOf(t.Edit) }))
	}
	return text
}

// listed names the first few of a list, and counts the others.
func listed(list []told, separator string, name func(told) string) string {
	const most = 3
	var names []string
	for _, t := range list[:min(len(list), most)] {
		names = append(names, name(t))
	}
	text := strings.Join(names, separator)
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// objectOf is the workload that all edits are of, "" if there are several.
func objectOf(list []told) string {
	for _, t := range list {
		if t.Workload != list[0].Workload {
			return ""
		}
	}
	return list[0].Workload
}

// placeOf says in a few words what an edit is of.
func placeOf(ed edit.Edit) string {
	switch {
	case ed.Marker != "":
		return fmt.Sprintf("markers %q", ed.Marker)
	case ed.Kustomize != "" && ed.File != "":
		return fmt.Sprintf("image %s in %s", ed.Kustomize, ed.File)
	case ed.Kustomize != "":
		return "image " + ed.Kustomize
	case ed.Image != "":
		return ed.Workload + " " + ed.Container
	}
	return "annotations of " + ed.Workload
}

// describeEdit says in a few words what an edit does.
func describeEdit(ed edit.Edit) string {
	text := placeOf(ed)
	if ed.Image == "" {
		return text
	}
	if ed.From != "" {
		text += " from " + ed.From
	}
	return text + " to " + ed.Image
}
