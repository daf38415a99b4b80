package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// What an explanation of one object may cost: the object is looked for in a few
// places, and in the manifests of the few releases that are the likeliest.
const (
	mostLooks     = 3
	mostManifests = 2
)

// releasedObject is an object with the release that it belongs to.
type releasedObject struct {
	object  applier.Ref
	release helm.ReleaseRef
	applier string // whose cluster it is in
	known   string // how that is known
}

// whyReleased explains an object that no sync has: as one of a Helm release.
func (e *Engine) whyReleased(ctx context.Context, target, namespace string) (Explanation, error) {
	q, err := parseObject(target, namespace)
	if err != nil {
		return Explanation{}, err
	}
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	found, ok := e.driftedObject(q)
	if !ok {
		found, ok, err = e.liveObject(ctx, q)
	}
	if !ok {
		if by, is := e.recordedObject(ctx, q); is {
			found, ok = by, true
		}
	}
	if !ok {
		text := fmt.Sprintf("no sync has an object %s in its last run, and it is known of no Helm release", target)
		if err != nil {
			text += ": " + words.OneLine(deadline.Because(ctx, err))
		}
		return Explanation{}, refusal.NotFound("%s", text)
	}
	return e.explainReleased(ctx, target, found), nil
}

// driftedObject finds an object among those that are known to differ from what
// their release says, such as those that are gone. It asks nobody.
func (e *Engine) driftedObject(q objectQuery) (releasedObject, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil || n.release.report == nil {
			continue
		}
		for _, c := range n.release.report.Drift {
			ref := applier.Ref{Group: q.group, Kind: c.Kind, Namespace: c.Namespace, Name: c.Name}
			if q.matches(ref) {
				ref.Group = ""
				return releasedObject{ref, n.release.ref(), n.release.declared.Applier, "the last look at the release found it changed or gone"}, true
			}
		}
	}
	return releasedObject{}, false
}

// likely is a declared release that an object may be of.
type likely struct {
	id      string
	ref     helm.ReleaseRef
	applier string
	score   int
}

// likelyReleases are the declared releases, the likeliest first: charts call
// their objects by the name of the release. e.mu is held.
func (e *Engine) likelyReleases(q objectQuery) []likely {
	var list []likely
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil {
			continue
		}
		l := likely{id: n.id, ref: n.release.ref(), applier: n.release.declared.Applier}
		switch {
		case l.ref.Name == "", q.namespace != "" && l.ref.Namespace != q.namespace:
			continue
		case strings.HasPrefix(q.name, l.ref.Name):
			l.score = len(l.ref.Name) + 1
		case strings.Contains(q.name, l.ref.Name):
			l.score = 1
		}
		list = append(list, l)
	}
	slices.SortStableFunc(list, func(a, b likely) int { return cmp.Compare(b.score, a.score) })
	return list
}

// liveLook is a place where an object may be.
type liveLook struct {
	applier, namespace string
	inspector          applier.Inspector
}

// liveLooks are the places to look for an object: in the namespace that is named,
// or else where the likeliest releases are, and by the appliers' defaults.
func (e *Engine) liveLooks(q objectQuery) []liveLook {
	e.mu.Lock()
	defer e.mu.Unlock()
	var looks []liveLook
	add := func(id, namespace string) {
		n := e.nodes[id]
		if n == nil || n.handle == nil || !n.handle.Has(applier.CanInspect) || len(looks) == mostLooks {
			return
		}
		inspector, ok := n.handle.Applier().(applier.Inspector)
		if ok && !slices.ContainsFunc(looks, func(l liveLook) bool { return l.applier == id && l.namespace == namespace }) {
			looks = append(looks, liveLook{id, namespace, inspector})
		}
	}
	for _, l := range e.likelyReleases(q) {
		add(l.applier, l.ref.Namespace)
	}
	for _, n := range sortedNodes(e.nodes) {
		if n.plugin != nil && n.plugin.Kind == kindApplier {
			add(n.id, q.namespace)
		}
	}
	return looks
}

// liveObject asks the clusters whose an object is. The error tells why that is
// not known.
func (e *Engine) liveObject(ctx context.Context, q objectQuery) (found releasedObject, ok bool, err error) {
	var errs []error
	for _, l := range e.liveLooks(q) {
		object, err := l.inspector.Inspect(ctx, applier.Inquiry{
			Kind: q.kind, Group: q.group, Namespace: l.namespace, Name: q.name, Annotations: []string{workload.ReleaseAnnotation, workload.ReleaseNamespaceAnnotation},
		})
		switch {
		case errors.Is(err, applier.ErrNoResource):
			continue
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", l.applier, err))
			continue
		case object.Annotations[workload.ReleaseAnnotation] == "":
			errs = append(errs, fmt.Errorf("%s has %s, which does not say that Helm made it", l.applier, object.Ref))
			continue
		}
		ref := helm.ReleaseRef{Namespace: cmp.Or(object.Annotations[workload.ReleaseNamespaceAnnotation], object.Ref.Namespace), Name: object.Annotations[workload.ReleaseAnnotation]}
		return releasedObject{object.Ref, ref, l.applier, "its annotation " + workload.ReleaseAnnotation + " says so"}, true, nil
	}
	return releasedObject{}, false, joined(errs)
}

// recordedObject looks for an object in the recorded manifests of the likeliest
// releases: hooks do not say whose they are, and neither does what is gone.
func (e *Engine) recordedObject(ctx context.Context, q objectQuery) (releasedObject, bool) {
	for _, c := range e.readableReleases(q) {
		content, err := c.reader.Content(ctx, c.ref, 0)
		if err != nil {
			continue // it may never have been installed
		}
		for _, ref := range release.Objects(content, c.ref.Namespace) {
			if q.matches(ref) {
				return releasedObject{ref, c.ref, c.applier, fmt.Sprintf("the manifest of its revision %d has it", content.Revision.Number)}, true
			}
		}
	}
	return releasedObject{}, false
}

// readableRelease is a release whose record can be read.
type readableRelease struct {
	likely
	reader helm.Reader
}

// readableReleases are the likeliest releases of an object.
func (e *Engine) readableReleases(q objectQuery) []readableRelease {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []readableRelease
	for _, l := range e.likelyReleases(q) {
		h := e.nodes[e.nodes[l.id].release.declared.Helm]
		if h == nil || h.handle == nil || !h.handle.Has(helm.CanRead) {
			continue
		}
		if reader, ok := h.handle.Helm().(helm.Reader); ok && len(list) < mostManifests {
			list = append(list, readableRelease{l, reader})
		}
	}
	return list
}

// explainReleased tells about an object of a release, and about the release.
func (e *Engine) explainReleased(ctx context.Context, target string, o releasedObject) Explanation {
	x := Explanation{Target: target, Object: &rollout.Object{Ref: o.object}}
	x.Lines = []string{fmt.Sprintf("%s belongs to the Helm release %s/%s in the cluster of %s: %s", o.object, o.release.Namespace, o.release.Name, o.applier, o.known)}
	e.mu.Lock()
	n := e.declaringNode(o)
	if n != nil {
		defer e.mu.Unlock()
		view, shown := e.show(n), e.helmRelease(n)
		x.Node, x.Release = &view, &shown
		x.Lines = append(x.Lines, e.explainReleaseBriefly(n)...)
		return x
	}
	h := e.helmOf(o.applier)
	var observer *release.Observer
	if h != nil && h.handle != nil {
		observer = e.observerOf(h)
	}
	e.mu.Unlock()
	x.Lines = append(x.Lines, "nobody declares that release here, so nothing is done to it: it was made with the helm command, or by somebody else")
	shown := HelmRelease{Namespace: o.release.Namespace, Name: o.release.Name, Applier: o.applier}
	if observer != nil {
		if rev, err := observer.Fresh(ctx, o.release); err != nil {
			x.Lines = append(x.Lines, "its revision is not known: "+words.OneLine(deadline.Because(ctx, err)))
		} else if rev.Number > 0 {
			shown = undeclaredRelease(o.applier, release.Owned{Ref: o.release, Revision: rev})
			x.Lines = append(x.Lines, revisionText(rev))
		}
	}
	x.Release = &shown
	return x
}

// declaringNode is the node of the release that an object belongs to, nil if
// nobody declares it. e.mu is held.
func (e *Engine) declaringNode(o releasedObject) *node {
	cluster := o.applier
	if h := e.helmOf(o.applier); h != nil {
		cluster = e.clusterOf(h.id)
	}
	var found *node
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil || n.release.ref() != o.release {
			continue
		}
		if n.release.declared.Applier == o.applier || e.clusterOf(n.release.declared.Helm) == cluster {
			if found == nil || found.release.yields != "" { // another declaration may go on with it
				found = n
			}
		}
	}
	return found
}

// explainReleaseBriefly tells where a release is declared, how it stands, and
// what was done last. e.mu is held.
func (e *Engine) explainReleaseBriefly(n *node) []string {
	r, v := n.release, e.show(n)
	lines := []string{fmt.Sprintf("the release is %s, declared by %s", n.id, cmp.Or(r.declared.Place, v.Declared))}
	if c := r.declared.Resource; c != nil {
		if by := e.fileOf(c.Ref); by != "" {
			lines[0] += ", which " + by
		}
	}
	lines = append(lines, e.explainBriefly(n)...)
	if rep := r.report; rep != nil {
		if rep.Revision.Number > 0 {
			lines = append(lines, revisionText(rep.Revision))
		}
		if len(rep.Steps) > 0 {
			lines = append(lines, stepText(rep.Steps[len(rep.Steps)-1]))
		}
	}
	return lines
}

// fileOf tells which sync applies an object from which file. e.mu is held.
func (e *Engine) fileOf(ref applier.Ref) string {
	for _, n := range sortedNodes(e.nodes) {
		if n.sync == nil || n.sync.report == nil {
			continue
		}
		for _, o := range n.sync.report.Objects {
			if o.Ref.Identity() == ref.Identity() && o.Origin() != "" {
				return fmt.Sprintf("%s applies from %s", n.id, o.Origin())
			}
		}
	}
	return ""
}

// revisionText is a revision, for people.
func revisionText(v helm.Revision) string {
	text := fmt.Sprintf("revision %d", v.Number)
	if v.Chart != "" {
		text += " of " + v.Chart
	}
	text += " is " + v.Status
	if v.Message != "" {
		text += ": " + v.Message
	}
	return text
}

// stepText is what a run did, for people.
func stepText(s release.Step) string {
	text := fmt.Sprintf("at %s it did %s, because: %s", s.At.Format(time.RFC3339), s.Action, s.Reason)
	if s.Error != "" {
		text += " It failed: " + s.Error
	}
	return text
}
