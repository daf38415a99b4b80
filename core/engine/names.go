package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// anyNode accepts every node, stoppable what can be suspended.
func anyNode(*node) bool { return true }
func stoppable(n *node) bool {
	return n.sync != nil || n.source != nil || n.automation != nil || n.release != nil
}

// appliedNodes are those that bring something into a target.
func appliedNodes(n *node) bool { return n.sync != nil || n.release != nil }
func releaseNodes(n *node) bool { return n.release != nil }

// resolveNames turns what people write into node ids: an id, the name of a sync,
// an image automation or a release, or what a Helm release or the resource that
// declares it is called, with its namespace or without. No names mean all nodes
// that accept takes.
func (e *Engine) resolveNames(names []string, accept func(*node) bool) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	if len(names) == 0 {
		for _, id := range slices.Sorted(maps.Keys(e.nodes)) {
			if accept(e.nodes[id]) {
				ids = append(ids, id)
			}
		}
		return ids, nil
	}
	for _, name := range names {
		found, err := e.resolveName(name, accept)
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// resolveOne is resolveNames for a name that must mean one node.
func (e *Engine) resolveOne(name string, accept func(*node) bool) (string, error) {
	ids, err := e.resolveNames([]string{name}, accept)
	switch {
	case err != nil:
		return "", err
	case len(ids) > 1:
		return "", refusal.Invalid("%q has %d instances: name one of them, such as '%s'", name, len(ids), ids[0])
	}
	return ids[0], nil
}

// resolveName finds the node called name, or the instances of the for_each that
// is. e.mu is held.
func (e *Engine) resolveName(name string, accept func(*node) bool) ([]string, error) {
	for _, id := range []string{name, "sync." + name, automationPrefix + name, "release." + name} {
		if n := e.nodes[id]; n != nil && !accept(n) {
			return nil, refusal.Invalid("%s is %s: that is not possible with it", id, n.kind())
		} else if n != nil {
			return []string{id}, nil
		}
		var instances []string
		for other, n := range e.nodes {
			if strings.HasPrefix(other, id+"[") && accept(n) {
				instances = append(instances, other)
			}
		}
		if len(instances) > 0 {
			return instances, nil
		}
	}
	ids, _ := e.releasesNamed(name)
	switch ids = slices.DeleteFunc(ids, func(id string) bool { return !accept(e.nodes[id]) }); len(ids) {
	case 0:
		return nil, refusal.NotFound("%q is not in the configuration%s", name, e.suggest(name, accept))
	case 1:
		return ids, nil
	default:
		return nil, refusal.Invalid("%q may be any of %s: name one of them", name, strings.Join(ids, ", "))
	}
}

// suggest names what may have been meant. e.mu is held.
func (e *Engine) suggest(name string, accept func(*node) bool) string {
	var all, known []string
	byName := map[string]string{} // ids by what a person may have typed
	for _, id := range slices.Sorted(maps.Keys(e.nodes)) {
		if !accept(e.nodes[id]) {
			continue
		}
		all = append(all, id)
		for _, typed := range []string{id, strings.TrimPrefix(id, "sync."), strings.TrimPrefix(id, automationPrefix), strings.TrimPrefix(id, "release.")} {
			known = append(known, typed)
			byName[typed] = id
		}
	}
	best := byName[diag.Nearest(name, known)]
	const listed = 8
	switch {
	case best != "":
		return fmt.Sprintf(" (did you mean %q?)", best)
	case len(all) > 0 && len(all) <= listed:
		return " (there are " + strings.Join(all, ", ") + ")"
	}
	return ""
}
