package engine

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/sched"
)

// heirOf is the node among nodes that declares the release that n was about, nil
// if there is none: a block that was renamed, or became a resource. A resource of
// another namespace than the release and n have is none: its author has nothing to
// say there.
func heirOf(nodes map[string]*node, n *node) *node {
	ref := n.release.record.Ref
	if ref.Name == "" {
		ref = n.release.declared.Spec.Ref
	}
	var heir *node
	for _, other := range nodes {
		r := other.release
		if r == nil || other.id == n.id || r.leaving != nil || r.declared.Helm != n.release.declared.Helm || r.declared.Spec.Ref != ref {
			continue
		}
		if c := r.declared.Resource; c != nil && c.Ref.Namespace != ref.Namespace && c.Ref.Namespace != resourceNamespace(n.id) {
			continue
		}
		if heir == nil || other.inheritsBefore(heir) {
			heir = other
		}
	}
	return heir
}

// inheritsBefore orders those that could go on with one release: blocks first.
func (n *node) inheritsBefore(other *node) bool {
	if is, was := n.release.declared.Block != nil, other.release.declared.Block != nil; is != was {
		return is
	}
	return n.id < other.id
}

// resourceNamespace is the namespace in the id of a custom resource's release; ""
// if it is no such id.
func resourceNamespace(id string) string {
	if parts := strings.Split(id, "/"); resourcePrefix(id) != "" && len(parts) == 3 {
		return parts[1]
	}
	return ""
}

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
	if s := e.recallSuspension(n.id); s != nil && heir.suspension == nil {
		heir.suspension = s
		if err := suspensions.Put(e.store, heir.id, *s); err != nil {
			e.log.Error("the suspension is not remembered", "node", heir.id, "err", err)
		}
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
