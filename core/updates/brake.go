package updates

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// brakeKey names a place whose images automation writes, whichever automation
// of the sync it is.
func brakeKey(sync, sub string) string { return sync + " " + sub }

// writtenBy is what a change by automation has written where.
func (u *Updater) writtenBy(c writeback.Change, o writeback.Outcome) (list []gate.Written) {
	if c.Cause.Kind != writeback.Automation || o.Unchanged {
		return nil
	}
	for i, ed := range c.Edits {
		if !o.Wrote(i) {
			continue
		}
		for _, sub := range subjectsOf(u.Setup().Book, ed) {
			list = append(list, gate.Written{Subject: brakeKey(c.Sync, sub), From: ed.From, To: ed.Image, At: o.At})
		}
	}
	return list
}

// noteWritten remembers what automation has written where.
func (u *Updater) noteWritten(list []gate.Written) {
	if err := u.gate.Wrote(list...); err != nil {
		u.log.Error("it is not remembered what automation has written: it may be written again", "err", err)
	}
}

// brake holds a swap back that would write what automation has written, or
// replaced, in the same place a short time ago: somebody else decides there too.
// It reports whether it does.
func (u *Updater) brake(ctx context.Context, cfg config.ImageAutomation, sub string, sw update.Swap, l *Look) bool {
	id, sync := cfg.Address, cfg.Target
	at, ok := u.gate.LastWritten(brakeKey(sync, sub), sw.Target, now())
	if !ok || u.isQuarantined(sync, sw.Current) {
		return false
	}
	until := at.Add(gate.BrakeTime)
	text := fmt.Sprintf("%s was written there, or replaced, by automation at %s, and it is %s again: somebody else decides on it too; held until %s",
		sw.Target, at.Format(time.RFC3339), sw.Current, until.Format(time.RFC3339))
	if u.heldAlready(id, sub) != text {
		ev := event.Event{Node: id, Reason: EventHeld, Severity: event.Warning, Message: sub + ": " + text}
		ev.Attrs = map[string]string{"sync": sync, "from": sw.Current, "to": sw.Target}
		u.site.Publish(ev)
		u.log.WarnContext(ctx, text, "node", id, "subject", sub, "event", EventHeld)
	}
	l.held[sub] = text
	if l.Next.IsZero() || until.Before(l.Next) {
		l.Next = until
	}
	return true
}

// isQuarantined reports whether a sync is to get rid of an image.
func (u *Updater) isQuarantined(sync, image string) bool {
	r, err := ref.Parse(image)
	return err == nil && u.gate.Reason(sync, r.CanonicalName(), r.Tag, r.Digest) != ""
}

// letWrite lets automation write images of a repository again, since a person
// has lifted their quarantine. An empty tag is any.
func (u *Updater) letWrite(image ref.Ref) error {
	return u.gate.ForgetWritten(func(s string) bool {
		r, err := ref.Parse(s)
		return err == nil && r.CanonicalName() == image.CanonicalName() && cmp.Or(image.Tag, r.Tag) == r.Tag
	})
}
