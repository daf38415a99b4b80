package engine

import (
	"fmt"

	"github.com/sluice-gitops/sluice/core/sched"
)

// heirOf is the node among nodes that declares the release that n was about, nil
// if there is none: a block that was renamed, or became a resource.
func heirOf(nodes map[string]*node, n *node) *node {
	ref := n.release.record.Ref
	if ref.Name == "" {
		ref = n.release.declared.spec.Ref
	}
	for _, other := range nodes {
		if r := other.release; r != nil && other.id != n.id && r.leaving == nil && r.declared.helm == n.release.declared.helm && r.declared.spec.Ref == ref {
			return other
		}
	}
	return nil
}

// inherit lets heir take over what n has installed, unless it has that already.
// e.mu is held.
func (e *Engine) inherit(heir, n *node) {
	if heir.release.synced != "" {
		return
	}
	owner := n.release.record.Owner
	if owner == "" {
		owner = n.release.declared.spec.Owner
	}
	heir.release.inherits = owner
	e.publish(heir, eventInherited, fmt.Sprintf("goes on with the release of %s, which is not declared any more", n.id))
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
