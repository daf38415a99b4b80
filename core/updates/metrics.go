package updates

import (
	"sync/atomic"
	"time"

	"github.com/sluice-gitops/sluice/core/writeback"
)

// PendingCommit is a commit that has not been made yet: it is about to be, or
// could not be pushed and will be tried again.
type PendingCommit struct {
	Source      string    `json:"source"`
	Branch      string    `json:"branch,omitempty"` // empty: the one that is read
	Changes     int       `json:"changes"`
	Since       time.Time `json:"since"` // of the oldest change
	Error       string    `json:"error,omitempty"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// Pending tells what has not reached its repository yet.
func (u *Updater) Pending() []PendingCommit {
	var list []PendingCommit
	for _, s := range u.queue.Status() {
		if s.Pending > 0 {
			list = append(list, PendingCommit{
				Source: s.Source, Branch: s.Branch, Changes: s.Pending, Since: s.Since, Error: s.Error, NextAttempt: s.Next,
			})
		}
	}
	return list
}

// Metrics are figures of what is written to git, since the start but for
// those that tell how many there are now.
type Metrics struct {
	Commits   uint64         // changes that were written, reverts included
	Failures  uint64         // changes of which nothing was written
	Conflicts uint64         // edits that were left out
	Pending   int            // changes in the queue now
	Rollouts  int            // that are followed now
	Failed    uint64         // rollouts that failed
	Held      int            // images in quarantine now
	Jobs      map[string]int // that are remembered, by state
}

// counts are the parts of Metrics that only grow.
type counts struct{ commits, failures, conflicts, failed atomic.Uint64 }

// Metrics are the figures of what is written to git.
func (u *Updater) Metrics() Metrics {
	m := Metrics{
		Commits: u.counts.commits.Load(), Failures: u.counts.failures.Load(), Conflicts: u.counts.conflicts.Load(), Failed: u.counts.failed.Load(),
		Rollouts: len(u.gate.Watches("")), Held: len(u.gate.Quarantined()), Jobs: map[string]int{},
	}
	for _, s := range u.queue.Status() {
		m.Pending += s.Pending
	}
	for _, j := range u.jobs.All() {
		m.Jobs[j.State]++
	}
	return m
}

// count takes an outcome into the figures.
func (c *counts) count(o writeback.Outcome) {
	if o.Err != "" {
		c.failures.Add(1)
		return
	}
	for _, err := range o.Errors {
		if err != "" {
			c.conflicts.Add(1)
		}
	}
	if !o.Unchanged {
		c.commits.Add(1)
	}
}
