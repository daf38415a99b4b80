package engine

import (
	"errors"
	"strings"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// namedRelease is a release as people have named it.
type namedRelease struct {
	id string // of the node whose it is
	// former is the release that they mean if the node declares another one by now.
	former helm.ReleaseRef
}

// resolveRelease turns what people write into a release: the id of a node, the
// name of its block, or namespace/name of the Helm release, be it one that its
// declaration has moved away from, or of the resource that declares it.
func (e *Engine) resolveRelease(name string) (namedRelease, error) {
	e.mu.Lock()
	ids, fit := e.releasesNamed(name)
	named := namedRelease{}
	if len(ids) == 1 {
		if named.id = ids[0]; fit == declare.FitsFormer {
			named.former = e.nodes[named.id].release.record.Ref
		}
	}
	e.mu.Unlock()
	switch {
	case named.id != "":
		return named, nil
	case len(ids) > 1:
		return namedRelease{}, refusal.Invalid("%q may be any of %s: name one of them", name, strings.Join(ids, ", "))
	}
	id, err := e.resolveOne(name, releaseNodes)
	if errors.Is(err, refusal.ErrNotFound) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return namedRelease{}, refusal.NotFound("no release that is declared is called %q%s", name, e.suggest(name, releaseNodes))
	}
	return namedRelease{id: id}, err
}

// releasesNamed finds releases by what people know them by, and tells how well
// that fits; an id is found by itself. e.mu is held.
func (e *Engine) releasesNamed(name string) (ids []string, best declare.Fit) {
	if n := e.nodes[name]; n != nil {
		return nil, declare.Unfit
	}
	if n := e.nodes["release."+name]; n != nil && n.release != nil {
		return []string{n.id}, declare.FitsRelease
	}
	called := declare.ParseName(name)
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil {
			continue
		}
		switch fit := n.release.declared.Called(called, n.release.record); {
		case fit == declare.Unfit || fit < best:
		case fit > best:
			ids, best = []string{n.id}, fit
		default:
			ids = append(ids, n.id)
		}
	}
	return ids, best
}
