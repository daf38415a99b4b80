package workloads

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// resolve finds the kinds of the filter beside our own. Those that the cluster
// does not serve are left out, and looked for anew from time to time.
func (g *gathering) resolve(ctx context.Context) error {
	missing, err := g.find(ctx, g.filter.Kinds)
	if err == nil && len(missing) > 0 && g.due() {
		if err = g.Client.Kinds.Refresh(ctx); err == nil {
			missing, err = g.find(ctx, slices.Collect(maps.Keys(missing)))
		}
	}
	for k, why := range missing {
		if why.Cause != nil { // its API server does not answer
			g.refused(k.Kind+"."+k.Group, why)
		}
	}
	return err
}

// find adds the kinds that are served to g.extra, and returns why the others
// are not.
func (g *gathering) find(ctx context.Context, kinds []applier.Kind) (map[applier.Kind]*cluster.NotServedError, error) {
	missing := map[applier.Kind]*cluster.NotServedError{}
	for i, k := range kinds {
		if builtIn(k) || slices.Contains(kinds[:i], k) {
			continue
		}
		served, err := g.Client.Kinds.Any(ctx, schema.GroupVersionKind{Group: k.Group, Kind: k.Kind})
		if notServed, ok := errors.AsType[*cluster.NotServedError](err); ok {
			missing[k] = notServed
			continue
		} else if err != nil {
			return nil, err
		}
		g.extra = append(g.extra, served)
	}
	return missing, nil
}

func builtIn(k applier.Kind) bool {
	return slices.ContainsFunc(kinds, func(own kind) bool { return own.group == k.Group && own.name == k.Kind })
}

// due tells, once in a while, that the cluster may be asked again what it serves.
func (l *Lister) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.discovered) >= l.Rediscover {
		l.discovered = now
		return true
	}
	return false
}

// scopesOf are the namespaces to list a kind in. One without namespaces is
// told only where all may be read and nobody asks for one of them.
func (g *gathering) scopesOf(k cluster.Kind) []string {
	if !k.Namespaced && !slices.Equal(g.scopes, []string{""}) {
		return nil
	}
	return g.scopes
}

// extraKind lists a kind of the filter. What the API server says against it,
// of a broken conversion for example, concerns this kind alone.
func (g *gathering) extraKind(ctx context.Context, k cluster.Kind, namespace string) error {
	what := k.GVR().GroupResource().String() + " in " + place(namespace)
	list, err := pages(ctx, g.Client, k.GVR(), namespace, g.selector(), func(raw *json.RawMessage) (found, bool) { return extra(k, *raw) })
	var answer apierrors.APIStatus
	switch {
	case apierrors.IsNotFound(err):
		if g.due() {
			g.Client.Kinds.Forget() // the kind has gone, or this version of it
		}
	case errors.As(err, &answer) && !apierrors.IsUnauthorized(err):
		g.refused(what, err)
		return nil
	}
	if err = g.note(what, err); err != nil {
		return err
	}
	g.keep(list)
	return nil
}

// extra returns what there is to tell of an object of a kind of the filter.
func extra(k cluster.Kind, raw json.RawMessage) (f found, ok bool) {
	u := &unstructured.Unstructured{}
	if utiljson.Unmarshal(raw, &u.Object) != nil || u.Object == nil {
		return found{}, false // no API server sends such
	}
	u.SetGroupVersionKind(k.GroupVersionKind)
	member, ok := membership(u.GetOwnerReferences(), u.GetLabels()[live.MemberLabel])
	if !ok {
		return found{}, false
	}
	f = found{member: member, Workload: applier.Workload{
		Ref:     applier.Ref{Group: k.Group, Version: k.Version, Kind: k.Kind, Namespace: u.GetNamespace(), Name: u.GetName()},
		Rollout: rolloutOf(health.Of(u)),
	}}
	if k.Namespaced {
		f.ServiceAccount = "default"
	}
	f.Annotations = u.GetAnnotations()
	delete(f.Annotations, lastApplied)
	u.SetAnnotations(f.Annotations)
	u.SetManagedFields(nil)
	delete(u.Object, "status")
	f.Object, _ = u.MarshalJSON() // of what was JSON before
	return f, true
}

// rolloutOf puts an object's health in the words of a rollout.
func rolloutOf(s health.Status) applier.Rollout {
	phase := map[applier.Health]applier.Phase{
		applier.Current: applier.RolloutReady, applier.Stalled: applier.RolloutFailed,
		applier.InProgress: applier.RolloutUpdating, applier.Terminating: applier.RolloutUpdating,
	}[s.Health]
	if s.Unseen {
		phase = applier.RolloutStarted
	}
	return applier.Rollout{Phase: phase, Message: s.Message}
}
