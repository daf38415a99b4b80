package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/core/images/update"
)

// explainAutomation tells what an automation does, and of everything that it
// leaves as it is, why. e.mu is held.
func (e *Engine) explainAutomation(n *node) []string {
	a := n.automation
	lines := []string{describeAutomation(a)}
	for _, sub := range slices.Sorted(maps.Keys(a.trouble)) {
		lines = append(lines, "not written: "+sub+": "+a.trouble[sub])
	}
	for _, sub := range slices.Sorted(maps.Keys(a.held)) {
		lines = append(lines, "held back: "+sub+": "+a.held[sub])
	}
	lines = append(lines, undecided(a.looked)...)
	for _, p := range n.view.Problems { // whatever is in these files is left out
		lines = append(lines, p.Severity+": "+p.String())
	}
	if e.updating == nil {
		return lines
	}
	for _, w := range e.updating.gate.Watches(a.cfg.Target) {
		if w.Automation == n.id {
			lines = append(lines, fmt.Sprintf("followed: the rollout of %s to %s %s, committed in %s", w.To, w.Workload, w.Container, short(w.Revision)))
		}
	}
	for _, q := range e.updating.gate.Quarantined() {
		if q.Automation == n.id {
			lines = append(lines, fmt.Sprintf("in quarantine: %s:%s: %s", q.Repository, q.Tag, q))
		}
	}
	return lines
}

func describeAutomation(a *automationNode) string {
	text := "it updates the images of " + a.cfg.Target
	if a.cfg.Branch != "" {
		text += " on the branch " + a.cfg.Branch
	}
	if a.cfg.Soak > 0 {
		text += fmt.Sprintf(", each %s after it was selected first", a.cfg.Soak)
	}
	if h := a.cfg.Health; h != nil {
		text += fmt.Sprintf(", and follows each rollout for %s", h.Timeout)
		if h.Revert {
			text += ", to take back what fails"
		}
	}
	return text
}

// undecided names the workloads that were left as they are for another reason
// than being up to date; where many have the same, it counts them.
func undecided(results []update.Result) []string {
	const few = 3
	byReason := map[string][]update.Result{}
	for _, r := range results {
		if r.Status != update.Success && r.Reason != update.ReasonUpToDate {
			byReason[r.Reason] = append(byReason[r.Reason], r)
		}
	}
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		list := byReason[reason]
		if len(list) > few {
			lines = append(lines, fmt.Sprintf("left alone: %s: %s", many(len(list), "workload"), reason))
			continue
		}
		for _, r := range list {
			lines = append(lines, "left alone: "+r.ID+": "+r.Why())
		}
	}
	return lines
}
