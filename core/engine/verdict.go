package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/rollout"
)

// conclude turns a report into the node's state. e.mu is held.
func (e *Engine) conclude(n *node, r *rollout.Report) {
	if r.Counts.Changed() {
		e.publish(n, eventApplied, describeRevision(r.Revision)+": "+r.Counts.String())
	}
	switch {
	case r.Err() != nil:
		e.failed(n, r.Err())
	case r.Waited != "":
		e.failed(n, errors.New(r.Waited))
	case r.Counts.Failed > 0:
		e.failed(n, errors.New(failureText(r)))
	case r.Counts.Wanted == 0 && r.Counts.Kept > 0:
		e.failed(n, errors.New(r.Held))
	case r.Approval != "":
		text := "for an approval: " + r.Held
		e.succeeded(n, Waiting, text, "sluice approve "+quoted(n.sync.cfg.Name))
		e.say(n, eventApproval, "waits "+text)
	default:
		e.succeeded(n, Ready, readyText(r), "")
	}
}

func readyText(r *rollout.Report) string {
	if r.Counts.Wanted == 0 {
		return describeRevision(r.Revision) + ": the paths hold no objects"
	}
	text := fmt.Sprintf("%s: %d objects", describeRevision(r.Revision), r.Counts.Wanted)
	if r.Counts.Ignored > 0 {
		text += fmt.Sprintf(", %d of them ignored", r.Counts.Ignored)
	}
	if r.Counts.Kept > 0 {
		text += fmt.Sprintf(", %d more kept", r.Counts.Kept)
	}
	return text
}

// failureText names the first failure and counts the others.
func failureText(r *rollout.Report) string {
	first := ""
	for _, p := range r.Problems {
		if p.Severity == "error" {
			first = p.String()
			break
		}
	}
	if f := r.Failures(); len(f) > 0 && first == "" {
		first = fmt.Sprintf("%s: %s", f[0].Ref, f[0].Problem)
	}
	if r.Counts.Failed == 1 {
		return first
	}
	return fmt.Sprintf("%d failures, the first: %s", r.Counts.Failed, first)
}

// sameReport reports whether b says nothing that a does not: a quiet run
// after another is not worth a write.
func sameReport(a, b *rollout.Report) bool {
	if b.Counts.Changed() || a.Counts.Changed() || len(a.Objects) != len(b.Objects) {
		return false
	}
	x, y := *a, *b
	x.Started, x.Finished, y.Started, y.Finished = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return fingerprint(x) == fingerprint(y)
}
