package updates

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
)

// Explain tells what an automation does, and of everything that it leaves as it
// is, why. last is what its last look has come to, nil before the first; problems
// are those of the files.
func (u *Updater) Explain(cfg config.ImageAutomation, last *Look, problems []rollout.Problem) []string {
	lines := []string{describeAutomation(cfg)}
	lines = append(lines, u.explainMemory(cfg.Address)...)
	if last != nil {
		lines = append(lines, undecided(last.Results)...)
	}
	for _, p := range problems { // whatever is in these files is left out
		lines = append(lines, p.Severity+": "+p.String())
	}
	return append(lines, u.explainRollouts(cfg)...)
}

func (u *Updater) explainMemory(id string) (lines []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return nil
	}
	for _, sub := range slices.Sorted(maps.Keys(m.trouble)) {
		lines = append(lines, "not written: "+sub+": "+m.trouble[sub])
	}
	for _, sub := range slices.Sorted(maps.Keys(m.held)) {
		lines = append(lines, "held back: "+sub+": "+m.held[sub])
	}
	return lines
}

// explainRollouts tells which rollouts of an automation are followed, and what
// of its images is in quarantine.
func (u *Updater) explainRollouts(cfg config.ImageAutomation) (lines []string) {
	for _, w := range u.gate.Watches(cfg.Target) {
		if w.Automation == cfg.Address {
			lines = append(lines, fmt.Sprintf("followed: the rollout of %s to %s %s, committed in %s", w.To, w.Workload, w.Container, words.Short(w.Revision)))
		}
	}
	for _, q := range u.gate.Quarantined() {
		if q.Automation == cfg.Address {
			lines = append(lines, fmt.Sprintf("in quarantine: %s:%s: %s", q.Repository, q.Tag, q))
		}
	}
	return lines
}

func describeAutomation(cfg config.ImageAutomation) string {
	text := "it updates the images of " + cfg.Target
	if cfg.Branch != "" {
		text += " on the branch " + cfg.Branch
	}
	if cfg.Soak > 0 {
		text += fmt.Sprintf(", each %s after it was selected first", cfg.Soak)
	}
	if h := cfg.Health; h != nil {
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
			lines = append(lines, fmt.Sprintf("left alone: %s: %s", words.Count(len(list), "workload"), reason))
			continue
		}
		for _, r := range list {
			lines = append(lines, "left alone: "+r.ID+": "+r.Why())
		}
	}
	return lines
}
