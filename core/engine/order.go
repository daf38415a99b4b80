package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/core/words"
)

// obstacle returns the node that n has to wait for and what that node lacks,
// or nil if n can run. e.mu is held.
func (e *Engine) obstacle(n *node) (by *node, lack string) {
	cfg := n.sync.cfg
	if src := e.nodes[cfg.Source]; src.source.tree == nil {
		return src, "has no revision yet"
	}
	for _, id := range instancesOf(cfg)[1:] {
		if in := e.nodes[id]; in.handle == nil {
			return in, "is not open"
		}
	}
	if by := e.awayFor(n); by != nil {
		return by, lacksTarget
	}
	for _, id := range cfg.DependsOn {
		if by, lack := e.lacking(e.nodes[id]); by != nil {
			return by, lack
		}
	}
	return nil, ""
}

// blocked ends a run that has to wait for another node. It is worth an event
// only if that one will not get there by itself. e.mu is held.
func (e *Engine) blocked(n, by *node, lack string) {
	reason := by.id + " " + lack
	if by.stuck() {
		reason += fmt.Sprintf(" (%s: %s)", by.view.State, by.view.Reason)
	}
	e.rest(n, Blocked, reason, by.id+" being ready")
	news := false
	if (by.view.State == Failed || by.view.State == Suspended || e.nodes[by.id] == nil) && by.away == nil { // which was told once, for all
		news = e.say(n, eventBlocked, reason)
	}
	if n.release != nil {
		e.tellBlocked(n, by, reason, news)
	}
}

// lacking returns the node because of which dep, a sync or a release, holds back
// what depends on it, and what that node lacks; nil if it holds nothing back: it
// has been applied as it is declared now, at the newest revisions of its sources.
// A dependency that is suspended only has to have been applied once. e.mu is held.
func (e *Engine) lacking(dep *node) (by *node, lack string) {
	const never = "has not been applied"
	at, ok := dep.applied()
	switch {
	case !ok:
		return dep, never
	case dep.suspended() != nil:
		return nil, ""
	case dep.release != nil && dep.release.synced != dep.release.declared.Key:
		return dep, never
	}
	for _, id := range slices.Sorted(maps.Keys(at)) {
		src := e.nodes[id]
		switch {
		case src == nil:
			return dep, never // the source has gone, and dep does not know yet
		case e.selected != nil && !e.selected[id]:
			// nobody asks it in this one-shot
		case src.source.resolved == 0 && !src.stuck():
			return src, "has not been asked for its newest revision yet"
		case at[id] != src.source.revision.ID:
			return dep, "has not been applied at " + words.Revision(src.source.revision)
		}
	}
	return nil, ""
}

// applied are the revisions of its sources that a sync or a release has been
// applied at; ok is false if it has not been, as it is declared now.
func (n *node) applied() (at map[string]string, ok bool) {
	if s := n.sync; s != nil {
		return map[string]string{s.cfg.Source: s.record.Revision.ID}, s.record.Config == syncFingerprint(s.cfg)
	}
	r := n.release
	at = map[string]string{}
	for _, id := range r.declared.Sources() {
		at[id] = r.at[id]
	}
	return at, r.leaving == nil && r.synced != ""
}

// stuck reports whether n will not get anywhere by itself soon.
func (n *node) stuck() bool {
	return n.view.State == Failed || n.view.State == Suspended || n.view.State == Blocked
}
