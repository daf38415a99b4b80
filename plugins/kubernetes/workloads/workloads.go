// Package workloads tells what runs in a cluster: the objects that make pods,
// with their containers, what their pods pull images with, and how far their
// rollouts have come. It only reads, a page at a time, and keeps of each page
// no more than it tells.
//
// Left out is what another workload makes (the Jobs of a CronJob), and what is
// part of the cluster itself by its label (kubernetes.io/cluster-service,
// addonmanager.kubernetes.io/mode). A workload that a custom resource controls
// is listed, and is nobody's: some controllers copy labels.
//
// A kind that may not be listed is left out and named in the log, once until
// it may be listed again; if nothing at all may be listed, that is an error.
// Any other error ends the listing, since half a list must not pass for a
// whole one.
package workloads

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Options of a Lister.
type Options struct {
	Client     *cluster.Client
	Namespaces []string // the only ones that may be read; empty: all
	// ID returns the id of the ApplySet that owner has, which its objects
	// carry as a label.
	ID func(owner string) string
	// Owners returns the owner behind each ApplySet id.
	Owners func(context.Context) (map[string]string, error)
	Log    hclog.Logger // nil: dropped
	// Rediscover is the least time between two questions whether a kind that
	// was not served is by now; zero is a minute.
	Rediscover time.Duration
}

// Lister lists workloads. It is safe for concurrent use.
type Lister struct {
	Options
	mu         sync.Mutex
	denied     map[string]bool // what cannot be listed, and was named in the log
	discovered time.Time       // when a kind was last looked for anew
}

// New returns a Lister, which sends no request until it is asked.
func New(o Options) *Lister {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Rediscover == 0 {
		o.Rediscover = time.Minute
	}
	return &Lister{Options: o, denied: map[string]bool{}}
}

// kinds are those that make pods.
var kinds = []kind{
	{"apps", "DaemonSet", "daemonsets", daemonSet},
	{"apps", "Deployment", "deployments", deployment},
	{"apps", "StatefulSet", "statefulsets", statefulSet},
	{"batch", "CronJob", "cronjobs", cronJob},
	{"batch", "Job", "jobs", job},
}

type kind struct {
	group, name, resource string
	rollout               func(*object) applier.Rollout
}

func (k kind) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: "v1", Resource: k.resource}
}

// atOnce bounds the pages that are in memory at the same time.
const atOnce = 3

// List emits every workload that filter matches, in the order of namespace,
// kind and name, or returns an error and emits nothing.
func (l *Lister) List(ctx context.Context, filter applier.WorkloadFilter, emit func(applier.Workload)) error {
	scopes := l.scopes(filter.Namespace)
	if len(scopes) == 0 {
		return nil // nothing of that namespace is ours to tell
	}
	g := &gathering{Lister: l, filter: filter, scopes: scopes, denials: map[string]error{}}
	if err := g.resolve(ctx); err != nil {
		return fmt.Errorf("list workloads: %w", err)
	}
	if err := g.workloads(ctx); err != nil {
		return fmt.Errorf("list workloads: %w", err)
	}
	for _, complete := range []func(context.Context) error{g.names, g.accounts, g.pods} {
		if err := complete(ctx); err != nil {
			return fmt.Errorf("list workloads: %w", err)
		}
	}
	l.tell(g.asked, g.denials)
	slices.SortFunc(g.found, func(a, b found) int {
		return cmp.Or(strings.Compare(a.Ref.Namespace, b.Ref.Namespace), strings.Compare(a.Ref.Kind, b.Ref.Kind), strings.Compare(a.Ref.Name, b.Ref.Name))
	})
	for i := range g.found {
		emit(g.found[i].Workload)
	}
	return nil
}

// scopes are the namespaces to list in; "" is all of them.
func (l *Lister) scopes(namespace string) []string {
	switch {
	case namespace == "" && len(l.Namespaces) > 0:
		return l.Namespaces
	case len(l.Namespaces) > 0 && !slices.Contains(l.Namespaces, namespace):
		return nil
	}
	return []string{namespace}
}

// gathering is one call of List.
type gathering struct {
	*Lister
	filter applier.WorkloadFilter
	scopes []string
	extra  []cluster.Kind // of the filter, those that the cluster serves

	mu      sync.Mutex
	found   []found
	asked   []string         // every list that was asked for
	denials map[string]error // those that were refused
}

type found struct {
	applier.Workload
	member string         // id of the ApplySet it belongs to
	pods   health.Rollout // of what waits for its pods: which these are
}

// workloads lists every kind in every scope.
func (g *gathering) workloads(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, k := range kinds {
		for _, namespace := range g.scopes {
			group.Go(func() error { return g.kind(ctx, k, namespace) })
		}
	}
	for _, k := range g.extra {
		for _, namespace := range g.scopesOf(k) {
			group.Go(func() error { return g.extraKind(ctx, k, namespace) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(g.denials) < len(g.asked) {
		return nil
	}
	first := g.asked[0]
	return fmt.Errorf("the applier's identity may list none of what was asked for (%d lists); allow it to, or set namespaces to those that it may read: %w", len(g.asked), g.denials[first])
}

// system are the labels of a cluster's own services.
const system = "kubernetes.io/cluster-service!=true,!addonmanager.kubernetes.io/mode"

// selector is what every listing of workloads is narrowed by.
func (g *gathering) selector() string {
	if g.filter.Owner == "" {
		return system
	}
	return system + "," + live.MemberLabel + "=" + g.ID(g.filter.Owner)
}

func (g *gathering) kind(ctx context.Context, k kind, namespace string) error {
	list, err := pages(ctx, g.Client, k.gvr(), namespace, g.selector(), func(o *object) (found, bool) { return o.workload(k) })
	if err = g.note(k.resource+" in "+place(namespace), err); err != nil {
		return err
	}
	g.keep(list)
	return nil
}

// keep adds to what was found.
func (g *gathering) keep(list []found) {
	if g.filter.Owner != "" {
		list = slices.DeleteFunc(list, func(f found) bool { return f.member == "" }) // copies of the label
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.found = append(g.found, list...)
}

func place(namespace string) string {
	if namespace == "" {
		return "all namespaces"
	}
	return "namespace " + namespace
}

// names fills in who owns what was found. It asks only if something of it
// belongs to an ApplySet.
func (g *gathering) names(ctx context.Context) error {
	owners := map[string]string{}
	if g.filter.Owner != "" {
		owners[g.ID(g.filter.Owner)] = g.filter.Owner
	} else if slices.ContainsFunc(g.found, func(f found) bool { return f.member != "" }) {
		var err error
		if owners, err = g.Owners(ctx); err != nil {
			return err
		}
	}
	for i := range g.found {
		g.found[i].Owner = owners[g.found[i].member]
	}
	return nil
}
