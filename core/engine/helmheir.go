package engine

import (
	"fmt"

	"github.com/sluice-gitops/sluice/core/release/rivals"
	"github.com/sluice-gitops/sluice/core/sched"
)

// heirOf is the node among nodes that goes on with the release that n was about,
// nil if there is none.
func heirOf(nodes map[string]*node, n *node) *node { return rivals.Heir(releasesAmong(nodes), n) }

// inherit lets heir take over what n has installed, unless it has that already,
// and the suspension of n. e.mu is held.
func (e *Engine) inherit(heir, n *node) {
	if heir.release.synced != "" {
		return
	}
	owner := n.release.record.Owner
	if owner == "" {
		owner = n.release.declared.Spec.Owner
	}
	heir.release.inherits = owner
	s := n.suspension
	if s == nil {
		s = e.recallSuspension(n.id)
	}
	if s != nil && heir.suspension == nil {
		e.setSuspension(heir, s)
	}
	text := fmt.Sprintf("goes on with the release of %s, which is not declared any more", n.id)
	switch s := heir.suspended(); {
	case s != nil:
		text += ", but does nothing to it: " + s.String()
	case heir.release.declared.Err != nil:
		text += ", but does nothing to it as long as its own declaration is wrong"
	}
	e.publish(heir, eventInherited, text)
	e.triggerLocked(heir.id, sched.Webhook)
}

// handOver has another declaration of the release that a job is to end go on with
// it, and returns the name of that one; "" if there is none.
func (e *Engine) handOver(job *releaseJob) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		return ""
	}
	heir := heirOf(e.nodes, n)
	if heir == nil {
		return ""
	}
	e.inherit(heir, n)
	return heir.id
}
