package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
)

// whyRelease finds the release that somebody asks about: by its id, by
// namespace/name, or by the resource that declares it. ok is false if target is
// about something else.
func (e *Engine) whyRelease(target, namespace string) (id string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[target]; n != nil {
		return target, n.release != nil
	}
	q, err := parseObject(target, namespace)
	if err != nil || !strings.Contains(target, "/") {
		return "", false
	}
	var found []string
	for _, n := range sortedNodes(e.nodes) {
		if n.release != nil && n.release.declared.Resource != nil && q.matches(n.release.declared.Resource.Ref) {
			found = append(found, n.id)
		}
	}
	if len(found) == 0 && !strings.Contains(target, ":") {
		found, _ = e.releasesNamed(target)
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// explainRelease tells about the last run. e.mu is held.
func (e *Engine) explainRelease(n *node) []string {
	r := n.release
	ref := r.ref()
	lines := []string{fmt.Sprintf("it is the Helm release %s in the namespace %s, of %s", ref.Name, ref.Namespace, r.declared.Applier)}
	if r.leaving != nil {
		return append(lines, fmt.Sprintf("%s, at %s", r.leaving.Why, r.leaving.Since.Format(time.RFC3339)))
	}
	if len(r.declared.DependsOn) > 0 {
		lines = append(lines, "it depends on "+strings.Join(r.declared.DependsOn, ", "))
	}
	if c := r.declared.Resource; c != nil {
		for _, w := range c.Misgivings() {
			lines = append(lines, "warning: "+w)
		}
	}
	rep := r.report
	if rep == nil {
		return append(lines, "it has not run yet")
	}
	if chart := releaseRevision(*rep); chart != "" {
		lines = append(lines, "its chart is "+chart)
		if rep.Chart.From != "" {
			lines[len(lines)-1] += " from " + rep.Chart.From
		}
	}
	if v := rep.Revision; v.Number > 0 {
		lines = append(lines, revisionText(v))
	}
	for _, s := range rep.Steps {
		lines = append(lines, stepText(s))
	}
	for _, c := range rep.Drift {
		text := fmt.Sprintf("drifted: %s %s/%s", c.Kind, c.Namespace, c.Name)
		if c.Problem != "" {
			text += ": " + c.Problem
		}
		lines = append(lines, text)
	}
	for _, w := range rep.Warnings {
		lines = append(lines, "warning: "+w)
	}
	return lines
}

// approveRemoval lets the releases go that left the configuration together with
// n. e.mu is held.
func (e *Engine) approveRemoval(n *node, req ApproveRequest) (string, error) {
	l := n.release.leaving
	switch {
	case l == nil || l.Held == "":
		return "", refusal.Conflict("%s waits for no approval", n.id)
	case req.Digest != "" && req.Digest != l.Held:
		return "", refusal.Conflict("%s waits for the approval of %s, not of %s: what would be uninstalled has changed, look at it again", n.id, l.Held, req.Digest)
	}
	digest := l.Held
	e.publish(n, eventApproved, fmt.Sprintf("%s approved the end of %s", req.By, words.Count(l.Many, "release")))
	for _, other := range sortedNodes(e.nodes) {
		if other.release == nil || other.release.leaving == nil || other.release.leaving.Held != digest {
			continue
		}
		free := *other.release.leaving
		free.Held, free.After = "", time.Time{}
		other.release.leaving, other.view.Approval = &free, ""
		e.recorder.mark(other.id)
		e.triggerLocked(other.id, sched.Interactive)
	}
	return digest, nil
}
