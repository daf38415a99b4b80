package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Why explains the state of a node, by id or sync name, or of an object,
// written kind/name or namespace:kind/name. namespace narrows an object that
// names none. A custom resource that declares a release, and namespace/name of a
// release, mean the release. An object that no sync has is explained by the Helm
// release that it belongs to, which costs a few requests.
func (e *Engine) Why(ctx context.Context, target, namespace string) (Explanation, error) {
	id, isRelease := e.whyRelease(target, namespace)
	if strings.Contains(target, "/") && !isRelease {
		x, err := e.whyObject(target, namespace)
		if errors.Is(err, refusal.ErrNotFound) {
			return e.whyReleased(ctx, target, namespace)
		}
		return x, err
	}
	var err error
	if !isRelease {
		id, err = e.resolveOne(target, anyNode)
	}
	if err != nil {
		return Explanation{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return Explanation{}, refusal.NotFound("%s is not in the configuration any more", id)
	}
	view := e.show(n)
	return Explanation{Target: target, Node: &view, Lines: e.explain(n)}, nil
}

// explain tells about a node and, if others hold it back, about those. e.mu is
// held.
func (e *Engine) explain(n *node) []string {
	v := e.show(n)
	lines := []string{fmt.Sprintf("%s is %s since %s: %s", v.ID, v.State, v.Since.Format(time.RFC3339), v.Reason)}
	if v.Declared != "" {
		lines = append(lines, "declared at "+v.Declared)
	}
	switch {
	case n.sync != nil:
		lines = append(lines, e.explainSync(n)...)
	case n.automation != nil:
		lines = append(lines, e.explainAutomation(n)...)
	case n.release != nil:
		lines = append(lines, e.explainRelease(n)...)
	}
	if v.Failures > 1 {
		lines = append(lines, fmt.Sprintf("it has failed %d times in a row", v.Failures))
	}
	if v.Unblock != "" {
		lines = append(lines, "what would change that: "+v.Unblock)
	}
	if !v.NextAttempt.IsZero() && v.State != Suspended {
		lines = append(lines, "next run at "+v.NextAttempt.Format(time.RFC3339))
	}
	if by := e.blocker(n); by != nil {
		lines = append(lines, e.explain(by)...)
	}
	return lines
}

// blocker returns the node that holds n back, nil if none does. e.mu is held.
func (e *Engine) blocker(n *node) (by *node) {
	switch {
	case n.view.State != Blocked:
	case n.sync != nil:
		by, _ = e.obstacle(n)
	case n.release != nil:
		by, _ = e.releaseObstacle(n, n.release.leaving != nil, false)
		if by != nil && e.nodes[by.id] == nil {
			by = nil // it does not exist: there is nothing to tell of it
		}
	case n.automation != nil:
		by, _ = e.automationObstacle(n.automation.cfg)
	}
	return by
}

// explainSync tells about the last run. e.mu is held.
func (e *Engine) explainSync(n *node) []string {
	cfg := n.sync.cfg
	lines := []string{fmt.Sprintf("it applies %s of %s to %s", strings.Join(cfg.Paths, ", "), cfg.Source, cfg.Applier)}
	if len(cfg.DependsOn) > 0 {
		lines = append(lines, "it depends on "+strings.Join(cfg.DependsOn, ", "))
	}
	r := n.sync.report
	if r == nil {
		return append(lines, "it has not run yet")
	}
	lines = append(lines, fmt.Sprintf("last run at %s of %s: %s", r.Finished.Format(time.RFC3339), words.Revision(r.Revision), r.Counts))
	for _, p := range r.Problems {
		lines = append(lines, p.Severity+": "+p.String())
	}
	if text := e.unfollowed(n); text != "" {
		lines = append(lines, "warning: "+text)
	}
	for _, o := range r.Failures() {
		lines = append(lines, "failed: "+o.Failure())
	}
	for _, o := range r.Missed() {
		lines = append(lines, fmt.Sprintf("waits to be applied: %s%s: %s", o.Ref, at(o), o.Reason))
	}
	if r.Held != "" {
		lines = append(lines, "nothing was deleted: "+r.Held)
	}
	return append(lines, leftAlone(r)...)
}

// leftAlone names the objects that a run has not touched, but only counts them
// where many have the same reason.
func leftAlone(r *rollout.Report) []string {
	const few = 3
	byReason := map[string][]rollout.Object{}
	var reasons []string
	for _, o := range r.Objects {
		if o.Outcome != applier.Skipped || o.Missed() {
			continue
		}
		if byReason[o.Reason] == nil {
			reasons = append(reasons, o.Reason)
		}
		byReason[o.Reason] = append(byReason[o.Reason], o)
	}
	var lines []string
	for _, reason := range reasons {
		objects := byReason[reason]
		if len(objects) > few {
			lines = append(lines, fmt.Sprintf("left alone: %s: %s", rollout.Objects(len(objects)), reason))
			continue
		}
		for _, o := range objects {
			lines = append(lines, fmt.Sprintf("left alone: %s%s: %s", o.Ref, at(o), reason))
		}
	}
	return lines
}

func at(o rollout.Object) string {
	if o.Origin() == "" {
		return ""
	}
	return " (" + o.Origin() + ")"
}

// owned is an object with the sync that has it.
type owned struct {
	node   *node
	object rollout.Object
}

func (e *Engine) whyObject(target, namespace string) (Explanation, error) {
	q, err := parseObject(target, namespace)
	if err != nil {
		return Explanation{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []owned
	for _, id := range slices.Sorted(maps.Keys(e.nodes)) {
		n := e.nodes[id]
		if n.sync == nil || n.sync.report == nil {
			continue
		}
		for _, o := range n.sync.report.Objects {
			if q.matches(o.Ref) {
				found = append(found, owned{n, o})
			}
		}
	}
	if len(found) == 0 {
		return Explanation{}, refusal.NotFound("no sync has an object %s in its last run", target)
	}
	view := e.show(found[0].node)
	x := Explanation{Target: target, Node: &view, Object: &found[0].object}
	for _, f := range found {
		x.Lines = append(x.Lines, e.explainObject(f)...)
		x.Others = append(x.Others, f.object)
	}
	x.Others = x.Others[1:]
	return x, nil
}

// explainObject tells where an object comes from and what became of it. e.mu
// is held.
func (e *Engine) explainObject(f owned) []string {
	o, r := f.object, f.node.sync.report
	from := "not in the files any more"
	if o.Origin() != "" {
		from = "from " + o.Origin()
	}
	lines := []string{fmt.Sprintf("%s belongs to %s, %s", o.Ref, f.node.id, from)}
	what := string(o.Outcome)
	if what == "" {
		what = string(o.Action)
	}
	text := fmt.Sprintf("the last run, of %s at %s: %s", words.Revision(r.Revision), r.Finished.Format(time.RFC3339), what)
	if o.Reason != "" {
		text += ", " + o.Reason
	}
	lines = append(lines, text)
	if o.Problem != nil {
		lines = append(lines, "error: "+o.Problem.String())
	}
	if o.Health != "" {
		lines = append(lines, "health: "+string(o.Health))
	}
	if text := e.unfollowed(f.node); text != "" && declaresRelease(o.Ref) {
		lines = append(lines, "nobody runs it: "+text)
	}
	return append(lines, e.explainBriefly(f.node)...)
}

func (e *Engine) explainBriefly(n *node) []string {
	lines := []string{fmt.Sprintf("%s is %s: %s", n.id, n.view.State, n.view.Reason)}
	if n.view.Unblock != "" {
		lines = append(lines, "what would change that: "+n.view.Unblock)
	}
	return lines
}

// objectQuery is what a person wrote to name an object.
type objectQuery struct{ kind, group, namespace, name string }

func parseObject(target, namespace string) (objectQuery, error) {
	q := objectQuery{namespace: namespace}
	rest := target
	if ns, after, ok := strings.Cut(target, ":"); ok {
		q.namespace, rest = ns, after
	}
	kind, name, _ := strings.Cut(rest, "/")
	if kind == "" || name == "" || strings.Contains(name, "/") {
		return q, refusal.Invalid("%q: want kind/name or namespace:kind/name", target)
	}
	q.name = name
	q.kind, q.group, _ = strings.Cut(strings.ToLower(kind), ".")
	q.kind = workload.LongKind(q.kind)
	return q, nil
}

func (q objectQuery) matches(r applier.Ref) bool {
	kind := strings.ToLower(r.Kind)
	switch {
	case q.name != r.Name:
		return false
	case q.namespace != "" && r.Namespace != "" && q.namespace != r.Namespace:
		return false
	case q.group != "" && !strings.HasPrefix(strings.ToLower(r.Group), q.group):
		return false
	}
	return q.kind == kind || q.kind == kind+"s" || q.kind == kind+"es" || strings.HasSuffix(kind, "y") && q.kind == strings.TrimSuffix(kind, "y")+"ies"
}
