package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// tellBlocked has the resource of a release say what holds that back, unless it
// is only about to be ready. news has it told as a Kubernetes event as well. e.mu
// is held.
func (e *Engine) tellBlocked(n, by *node, reason string, news bool) {
	d := n.release.declared
	voice := e.voiceOf(n, d)
	var err error
	switch stuck := e.nodes[by.id] == nil || slices.Contains([]State{Failed, Suspended, Blocked}, by.view.State); {
	case voice == nil:
		return
	case by.source != nil && by.failure != nil && d.Spec.Chart.Tree != nil && d.Spec.Chart.Tree.Source == by.id:
		err = fmt.Errorf("the chart cannot be fetched: %w", by.failure)
		voice.NoChart(err)
	case stuck || slices.Contains(d.DependsOn, by.id):
		err = errors.New("waits: " + reason)
		voice.Waits(words.OneLine(err))
	}
	if err != nil && news {
		voice.Warn(err)
	}
}

// tellWaits has the resource of a release say why nothing happens now. e.mu is
// held.
func (e *Engine) tellWaits(n *node, reason string) {
	if n.release != nil {
		e.voiceOf(n, n.release.declared).Waits(reason)
	}
}

// shown is s as the status of a resource has it.
func (s *Suspension) shown() *resource.Suspension {
	if s == nil {
		return nil
	}
	return &resource.Suspension{By: s.By, Reason: s.Reason, Since: s.Since.Truncate(time.Second), Until: s.Until.Truncate(time.Second)}
}

// recallFromStatus is the suspension that the status of a resource tells of, for
// a node whose own records know nothing of it: they were lost, or are older, as in a
// volume that was restored. Or else what somebody has rolled back at night would be
// rolled out again by a pod that starts on another machine. What was resumed here
// since may not have reached the status.
func (e *Engine) recallFromStatus(n *node, r resource.Resource) {
	s := r.Status.Suspended
	switch {
	case s == nil, !s.Until.IsZero() && !s.Until.After(now()), s.Since.Before(n.release.resumed):
		return
	case n.suspension != nil && !s.Since.After(n.suspension.Since):
		return
	}
	e.setSuspension(n, &Suspension{By: s.By, Reason: s.Reason, Since: s.Since, Until: s.Until})
}

// twinOf returns the node that has the custom resource of n already, nil if there
// is none: two appliers may reach one cluster, and follow what is in it. The
// resource is n's otherwise. e.mu is held.
func (e *Engine) twinOf(n *node) *node {
	r := n.release.declared.Resource
	if r == nil || r.UID == "" {
		return nil
	}
	if other := e.nodes[e.claims[r.UID]]; other != nil && other != n && other.release != nil {
		if theirs := other.release.declared.Resource; theirs != nil && theirs.UID == r.UID {
			return other
		}
	}
	e.claims[r.UID] = n.id
	return nil
}

// freed has those look again that were refused because n had their resource, or
// the release ref. e.mu is held.
func (e *Engine) freed(n *node, ref helm.ReleaseRef) {
	if r := n.release.declared.Resource; r != nil && e.claims[r.UID] == n.id && e.nodes[n.id] != n {
		delete(e.claims, r.UID)
	}
	for id, other := range e.nodes {
		if other == n || other.release == nil || other.failure == nil || other.release.declared.Spec.Ref != ref {
			continue
		}
		if h := e.nodes[other.release.declared.Helm]; h != nil && h.isHelm() && h.helm.observer != nil {
			h.helm.observer.Changed(ref)
		}
		e.triggerLocked(id, sched.Webhook)
	}
}
