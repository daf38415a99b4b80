package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

const interactive = sched.Interactive

// listTimeout bounds how long a listing waits for one cluster.
const listTimeout = 10 * time.Second

// HelmReleases lists releases: what the daemon knows of the declared ones, with
// the newest revisions as the clusters tell them now. What the last look has found
// out about another revision is not said of that one: its state is then unknown.
func (e *Engine) HelmReleases(ctx context.Context, req HelmListRequest) (HelmListAnswer, error) {
	if err := e.checkAlive(); err != nil {
		return HelmListAnswer{}, err
	}
	byRef := map[string]map[helm.ReleaseRef]int{} // of the answer, by applier
	answer := HelmListAnswer{Releases: []HelmRelease{}}
	for _, r := range e.declaredReleases(req) {
		if byRef[r.Applier] == nil {
			byRef[r.Applier] = map[helm.ReleaseRef]int{}
		}
		byRef[r.Applier][helm.ReleaseRef{Namespace: r.Namespace, Name: r.Name}] = len(answer.Releases)
		answer.Releases = append(answer.Releases, r)
	}
	for _, h := range e.openHelms(req.Applier) {
		listing, cancel := deadline.Within(ctx, listTimeout)
		found, err := h.observer.List(listing, req.Namespace)
		err = deadline.Because(listing, err)
		cancel()
		if err != nil {
			answer.Problems = append(answer.Problems, h.id+": "+words.OneLine(err))
			continue
		}
		there := map[helm.ReleaseRef]bool{}
		for _, o := range found {
			there[o.Ref] = true
			if i, ok := byRef[h.applier][o.Ref]; ok {
				e.showLive(&answer.Releases[i], o.Revision)
			} else if req.All {
				answer.Releases = append(answer.Releases, undeclaredRelease(h.applier, o))
			}
		}
		for ref, i := range byRef[h.applier] {
			if !there[ref] {
				e.showLive(&answer.Releases[i], helm.Revision{})
			}
		}
	}
	slices.SortFunc(answer.Releases, func(a, b HelmRelease) int {
		return cmp.Or(cmp.Compare(a.Applier, b.Applier), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return answer, nil
}

// openHelm is a helm that can be asked.
type openHelm struct {
	id, applier string
	observer    *release.Observer
}

// openHelms are the helms that are open, of one applier if it is named.
func (e *Engine) openHelms(applier string) []openHelm {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []openHelm
	for _, n := range sortedNodes(e.nodes) {
		if n.isHelm() && n.handle != nil && (applier == "" || n.helm.cfg.Applier == applier) {
			list = append(list, openHelm{n.id, n.helm.cfg.Applier, e.observerOf(n)})
		}
	}
	return list
}

// declaredReleases are the nodes that req selects.
func (e *Engine) declaredReleases(req HelmListRequest) []HelmRelease {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []HelmRelease
	for _, n := range sortedNodes(e.nodes) {
		if n.release == nil {
			continue
		}
		r := e.helmRelease(n)
		if (req.Namespace == "" || r.Namespace == req.Namespace) && (req.Applier == "" || r.Applier == req.Applier) {
			list = append(list, r)
		}
	}
	return list
}

func undeclaredRelease(applier string, o release.Owned) HelmRelease {
	r := HelmRelease{Namespace: o.Ref.Namespace, Name: o.Ref.Name, Applier: applier, Chart: o.Revision.Chart, AppVersion: o.Revision.AppVersion}
	r.showRevision(o.Revision)
	return r
}

// showRevision shows what a cluster tells.
func (r *HelmRelease) showRevision(rev helm.Revision) {
	r.Revision, r.Status, r.Updated = rev.Number, rev.Status, rev.Updated
	r.Owner = cmp.Or(rev.Owner, r.Owner)
	r.Tests = cmp.Or(rev.Tests, r.Tests)
}

// helmRelease is what is known of a declared release. e.mu is held.
func (e *Engine) helmRelease(n *node) HelmRelease {
	r, view := n.release, e.show(n)
	ref := r.ref()
	shown := HelmRelease{
		ID: n.id, Namespace: ref.Namespace, Name: ref.Name, Applier: r.declared.Applier, Owner: r.declared.Spec.Owner, Declared: cmp.Or(r.declared.Place, view.Declared),
		State: view.State, Reason: view.Reason, Unblock: view.Unblock, NextAttempt: view.NextAttempt, Suspension: view.Suspension,
	}
	if rep := r.report; rep != nil {
		shown.Release = rep.State
		shown.Chart, shown.ChartVersion, shown.AppVersion, shown.ChartDigest = rep.Chart.Name, rep.Chart.Version, rep.Chart.AppVersion, rep.Chart.Digest
		if rep.Chart.Name == "" { // its files have not been read as yet
			shown.Chart, shown.ChartVersion = rep.Revision.Chart, ""
		}
		shown.ChartFrom = rep.Chart.From
		if rep.Chart.Revision != "" {
			shown.ChartFrom += "@" + words.Short(rep.Chart.Revision)
		}
		shown.showRevision(rep.Revision)
	}
	return shown
}

// helmDetail is what is known of a declared release.
func (e *Engine) helmDetail(id string) HelmDetail {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.release == nil {
		return HelmDetail{Node: Node{ID: id, State: Failed, Reason: "not declared any more"}}
	}
	d := HelmDetail{HelmRelease: e.helmRelease(n), Node: e.show(n), Report: n.release.report, DependsOn: n.release.declared.DependsOn}
	if c := n.release.declared.Resource; c != nil {
		d.Conditions, d.Warnings = c.Status.Conditions, c.Misgivings()
	}
	return d
}

// isIdle reports whether n is a helm that no release needs, and that is not
// open. e.mu is held.
func (e *Engine) isIdle(n *node) bool {
	return n.isHelm() && n.handle == nil && len(e.graph.Dependents(n.id)) == 0
}

// HelmMetrics returns figures about the declared releases. It asks nobody.
func (e *Engine) HelmMetrics() HelmMetrics {
	m := HelmMetrics{Releases: e.declaredReleases(HelmListRequest{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.releases != nil {
		m.Operations = e.releases.tally.Counts()
	}
	return m
}
