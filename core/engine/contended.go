package engine

import (
	"fmt"
	"os"
	"time"

	"github.com/sluice-gitops/sluice/core/rollout"
)

// contention is that somebody else applies for a sync as well.
type contention struct {
	wrote bool      // this process has applied something: what is recorded later is another's
	by    string    // who else has, since; "": nobody
	at    time.Time // when that was seen last
}

// contendedFor is how long somebody else counts who was seen once: a run that
// repairs what he did is the newest itself, until his next one.
const contendedFor = time.Hour

// writerID names this process to others who apply for the same syncs.
func writerID(dataDir string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "of an unknown name"
	}
	return fmt.Sprintf("host %s, process %d, data directory %s", host, os.Getpid(), dataDir)
}

// noteOthers takes note of who has applied for n, a sync, between two runs of this
// process. A predecessor that this one replaces is none. It is told once. e.mu is
// held.
func (e *Engine) noteOthers(n *node, r *rollout.Report) {
	c := &n.sync.contended
	if by := r.Other(); by != "" && c.wrote {
		if c.by != by {
			c.by, c.at = by, now()
			e.publish(n, eventContended, c.text())
		}
		c.at = now()
	}
	if r.Wrote() {
		c.wrote = true
	}
}

func (c *contention) text() string {
	return fmt.Sprintf("another sluice (%s) has applied this sync to the same target: unless that was once, by hand, each of the two undoes what the other one does, so stop one of them, or give the sync another name there", c.by)
}

// problem is what people see of it, nil if there is nothing. e.mu is held.
func (c *contention) problem() []rollout.Problem {
	if c.by == "" || now().Sub(c.at) > contendedFor {
		return nil
	}
	return []rollout.Problem{{Severity: "warning", Summary: c.text()}}
}
