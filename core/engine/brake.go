package engine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// eventHeld tells that automation does not write an image again which somebody
// keeps replacing.
const eventHeld = "update_held"

// brakeKey names a place whose images automation writes, whichever automation
// of the sync it is.
func brakeKey(sync, sub string) string { return sync + " " + sub }

// writtenBy is what a change by automation has written where.
func (e *Engine) writtenBy(c writeback.Change, o writeback.Outcome) (list []gate.Written) {
	if c.Cause.Kind != writeback.Automation || o.Unchanged {
		return nil
	}
	for i, ed := range c.Edits {
		if !written(o, i) {
			continue
		}
		for _, sub := range subjectsOf(e.setup().book, ed) {
			list = append(list, gate.Written{Subject: brakeKey(c.Sync, sub), From: ed.From, To: ed.Image, At: o.At})
		}
	}
	return list
}

// noteWritten remembers what automation has written where.
func (e *Engine) noteWritten(list []gate.Written) {
	if err := e.updating.gate.Wrote(list...); err != nil {
		e.log.Error("it is not remembered what automation has written: it may be written again", "err", err)
	}
}

// brake holds a swap back that would write what automation has written, or
// replaced, in the same place a short time ago: somebody else decides there too.
// It reports whether it does.
func (e *Engine) brake(ctx context.Context, id, sync, sub string, sw update.Swap, l *look) bool {
	at, ok := e.updating.gate.LastWritten(brakeKey(sync, sub), sw.Target, now())
	if !ok || e.isQuarantined(sync, sw.Current) {
		return false
	}
	until := at.Add(gate.BrakeTime)
	text := fmt.Sprintf("%s was written there, or replaced, by automation at %s, and it is %s again: somebody else decides on it too; held until %s",
		sw.Target, at.Format(time.RFC3339), sw.Current, until.Format(time.RFC3339))
	if e.heldAlready(id, sub) != text {
		ev := event.Event{Node: id, Reason: eventHeld, Severity: event.Warning, Message: sub + ": " + text}
		ev.Attrs = map[string]string{"sync": sync, "from": sw.Current, "to": sw.Target}
		e.publishEvent(ev)
		e.log.WarnContext(ctx, text, "node", id, "subject", sub, "event", eventHeld)
	}
	l.held[sub] = text
	if l.next.IsZero() || until.Before(l.next) {
		l.next = until
	}
	return true
}

// heldAlready is why the last look has held a subject back.
func (e *Engine) heldAlready(id, sub string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[id]; n != nil && n.automation != nil {
		return n.automation.held[sub]
	}
	return ""
}

// isQuarantined reports whether a sync is to get rid of an image.
func (e *Engine) isQuarantined(sync, image string) bool {
	r, err := ref.Parse(image)
	return err == nil && e.updating.gate.Reason(sync, r.CanonicalName(), r.Tag, r.Digest) != ""
}

// letWrite lets automation write images of a repository again, since a person
// has lifted their quarantine. An empty tag is any.
func (e *Engine) letWrite(image ref.Ref) error {
	return e.updating.gate.ForgetWritten(func(s string) bool {
		r, err := ref.Parse(s)
		return err == nil && r.CanonicalName() == image.CanonicalName() && cmp.Or(image.Tag, r.Tag) == r.Tag
	})
}
