package resources

import (
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Voice has one resource say how its release fares: in its status, and, where
// that is news, by an event. A nil Voice, of a release that no resource declares,
// says nothing. Its methods never block.
type Voice struct {
	writer    *Writer
	id        string
	resource  resource.Resource
	suspended *resource.Suspension
	at        time.Time
}

// Voice returns that of r, whose name is id here, at a time. suspended is by a
// person, nil if nobody has stopped the release.
func (w *Writer) Voice(id string, r resource.Resource, suspended *resource.Suspension, at time.Time) *Voice {
	return &Voice{writer: w, id: id, resource: r, suspended: suspended, at: at}
}

// Progressed tells of a step of a run.
func (v *Voice) Progressed(p release.Progress) {
	if v == nil {
		return
	}
	v.writer.Update(v.id, v.resource, func(r resource.Resource, before resource.Status) resource.Status {
		after := r.Progressed(before, p, v.at)
		after.Suspended = v.suspended
		return after
	})
}

// Reported tells what a run has come to.
func (v *Voice) Reported(report release.Report) {
	if v == nil {
		return
	}
	v.Found(report)
	if ev, ok := v.resource.EventOf(report); ok {
		v.writer.Tell(ev)
	}
}

// Found tells how the release stands, as somebody other than a run has left it.
func (v *Voice) Found(report release.Report) {
	if v == nil {
		return
	}
	v.writer.Update(v.id, v.resource, func(r resource.Resource, before resource.Status) resource.Status {
		after := r.Reported(before, report, v.at)
		after.Suspended = v.suspended
		return after
	})
}

// Waits tells why nothing happens now.
func (v *Voice) Waits(reason string) {
	if v == nil {
		return
	}
	v.writer.Update(v.id, v.resource, func(r resource.Resource, before resource.Status) resource.Status {
		after := r.Reported(before, release.Report{State: release.Unknown, Reason: reason}, v.at)
		after.State, after.Drift = before.State, before.Drift // nobody has looked
		after.Suspended = v.suspended
		return after
	})
}

// Failed tells what kept a run from beginning, or from coming to its end.
func (v *Voice) Failed(err error) {
	if v == nil {
		return
	}
	v.writer.Update(v.id, v.resource, func(r resource.Resource, before resource.Status) resource.Status {
		return r.Failed(before, err, v.at)
	})
	v.Warn(err)
}

// NoChart tells why there is no chart.
func (v *Voice) NoChart(err error) {
	if v == nil {
		return
	}
	text := oneLine(err)
	v.writer.Update(v.id, v.resource, func(r resource.Resource, before resource.Status) resource.Status {
		before = r.Progressed(before, release.Progress{Phase: release.PhaseChartFetchFailed, Text: text}, v.at)
		return r.Reported(before, release.Report{State: release.Unknown, Err: err, Error: text}, v.at)
	})
}

// Warn leaves an event about a failure, and nothing else.
func (v *Voice) Warn(err error) {
	if v != nil {
		v.writer.Tell(v.resource.FailureEvent(err))
	}
}

// Removing leaves an event that the release is being uninstalled.
func (v *Voice) Removing(text string) { v.tell("ReleaseRemoval", text) }

// Removed leaves an event about what became of the release. Nothing else is said
// about the resource, which may go.
func (v *Voice) Removed(why, text string) {
	if v == nil {
		return
	}
	v.writer.Forget(v.id)
	v.tell("ReleaseRemoved", fmt.Sprintf("%s: %s", why, text))
}

func (v *Voice) tell(reason, text string) {
	if v != nil {
		v.writer.Tell(applier.ResourceEvent{Ref: v.resource.Ref, UID: v.resource.UID, Reason: reason, Message: text})
	}
}
