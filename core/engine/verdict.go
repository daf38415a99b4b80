package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
)

// conclude turns a report into the node's state. e.mu is held.
func (e *Engine) conclude(n *node, r *rollout.Report) {
	if r.Counts.Changed() {
		reason := eventApplied
		if r.Counts.Failed+r.Counts.Missed > 0 || r.Error != "" {
			reason = eventPartlyApplied
		}
		e.publish(n, reason, words.Revision(r.Revision)+": "+r.Counts.String())
	}
	err := e.runError(n, r)
	switch {
	case err != nil && r.Approval != "":
		e.failed(n, fmt.Errorf("%w; a deletion waits for approval: %s", err, r.Held), e.approveHint(n))
	case err != nil:
		e.failed(n, err, "")
	case r.Approval != "":
		text := "for an approval: " + r.Held
		e.succeeded(n, Waiting, text, e.approveHint(n))
		e.say(n, eventApproval, "waits "+text)
	default:
		e.succeeded(n, Ready, readyText(r), "")
	}
}

// approveHint is the command that approves what n waits for.
func (e *Engine) approveHint(n *node) string {
	name := quoted(n.sync.cfg.Name)
	if e.oneShot() {
		return "sluice apply " + name + " --approve " + n.view.Approval
	}
	return "sluice approve " + name
}

// runError returns what makes a run a failed one. e.mu is held.
func (e *Engine) runError(n *node, r *rollout.Report) error {
	var errs []string
	switch {
	case r.Err() != nil:
		if app := e.nodes[n.sync.cfg.Applier]; app != nil && app.plugin != nil {
			return located(*app.plugin, r.Err())
		}
		return r.Err()
	case r.Counts.Wanted == 0 && r.Counts.Kept > 0:
		errs = append(errs, r.Held)
	}
	if r.Counts.Failed > 0 {
		errs = append(errs, failureText(r))
	}
	if missed := r.Missed(); len(missed) > 0 {
		errs = append(errs, missedText(missed))
	}
	if r.Waited != "" {
		errs = append(errs, r.Waited)
	}
	if len(errs) == 0 {
		return nil
	}
	return errors.New(strings.Join(errs, "; "))
}

func readyText(r *rollout.Report) string {
	if r.Counts.Wanted == 0 {
		return words.Revision(r.Revision) + ": the paths hold no objects"
	}
	text := fmt.Sprintf("%s: %s", words.Revision(r.Revision), rollout.Objects(r.Counts.Wanted))
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
		first = f[0].Failure()
	}
	if r.Counts.Failed == 1 {
		return first
	}
	return fmt.Sprintf("%d failures, the first: %s", r.Counts.Failed, first)
}

// missedText names the first object that waits to be applied, and counts the
// others.
func missedText(missed []rollout.Object) string {
	text := "waits for " + rollout.Objects(len(missed)) + " to be applied, the first: "
	if len(missed) == 1 {
		text = "waits to apply "
	}
	return text + missed[0].Ref.String() + at(missed[0]) + ": " + missed[0].Reason
}

// sameReport reports whether b says nothing that a does not: a quiet run
// after another is not worth a write.
func sameReport(a, b *rollout.Report) bool {
	if b.Counts.Changed() || a.Counts.Changed() || len(a.Objects) != len(b.Objects) {
		return false
	}
	x, y := *a, *b
	x.Started, x.Finished, y.Started, y.Finished = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return digest.Of(x) == digest.Of(y)
}
