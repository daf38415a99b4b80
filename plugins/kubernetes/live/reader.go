package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	pageSize      = 500
	fewObjects    = 4  // up to this many are read one by one
	fewNamespaces = 5  // up to this many are listed one by one
	atOnce        = 16 // kinds and objects looked at together; the transport limits further
)

// Reader reads facts.
type Reader struct {
	Client     metadata.Interface
	Kinds      *cluster.Kinds
	Manager    string   // our field manager
	Namespaces []string // the only ones that may be read; empty: all
}

// Facts maps the identity of an object to what is known of it. An object that
// is not in it does not exist, or its kind is not served.
type Facts map[applier.Ref]Fact

// Read returns the facts about refs, and about every other object of their
// kinds that is a member of the ApplySet id.
func (r Reader) Read(ctx context.Context, id string, refs []applier.Ref) (Facts, error) {
	gather := &gather{Reader: r, facts: Facts{}}
	byKind := map[schema.GroupKind][]applier.Ref{}
	for _, ref := range refs {
		gk := schema.GroupKind{Group: ref.Group, Kind: ref.Kind}
		byKind[gk] = append(byKind[gk], ref)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, refs := range byKind {
		group.Go(func() error { return gather.kind(ctx, id, refs) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return gather.facts, nil
}

type gather struct {
	Reader
	mu    sync.Mutex
	facts Facts
}

// kind reads one kind: the members first, then the rest of refs.
func (g *gather) kind(ctx context.Context, id string, refs []applier.Ref) error {
	first := refs[0]
	kind, err := g.Kinds.Any(schema.GroupVersionKind{Group: first.Group, Version: first.Version, Kind: first.Kind})
	if _, missing := errors.AsType[*cluster.NotServedError](err); missing {
		return nil // nothing of it exists
	} else if err != nil {
		return err
	}
	if kind.Namespaced || len(g.Namespaces) == 0 {
		for _, namespace := range g.scopes(kind) {
			if err := g.list(ctx, kind, namespace, MemberLabel+"="+id); err != nil {
				return err
			}
		}
	}
	return g.others(ctx, kind, g.unknown(refs))
}

// scopes are the namespaces to list a kind in; "" is all of them, or none for
// a cluster-scoped kind.
func (g *gather) scopes(kind cluster.Kind) []string {
	if kind.Namespaced && len(g.Namespaces) > 0 {
		return g.Namespaces
	}
	return []string{""}
}

func (g *gather) unknown(refs []applier.Ref) []applier.Ref {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(refs), func(ref applier.Ref) bool {
		_, known := g.facts[ref.Identity()]
		return known
	})
}

// others reads objects that are not members: a few one by one, many by lists
// of the namespaces they are in.
func (g *gather) others(ctx context.Context, kind cluster.Kind, refs []applier.Ref) error {
	if len(refs) <= fewObjects || !kind.Namespaced && len(g.Namespaces) > 0 {
		for _, ref := range refs {
			if err := g.get(ctx, kind, ref); err != nil {
				return err
			}
		}
		return nil
	}
	var namespaces []string
	for _, ref := range refs {
		if !slices.Contains(namespaces, ref.Namespace) {
			namespaces = append(namespaces, ref.Namespace)
		}
	}
	if len(namespaces) > fewNamespaces && len(g.Namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		if err := g.list(ctx, kind, namespace, ""); err != nil {
			return err
		}
	}
	return nil
}

func (g *gather) get(ctx context.Context, kind cluster.Kind, ref applier.Ref) error {
	m, err := g.Client.Resource(kind.GVR()).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read %s: %w", ref, err)
	}
	g.add(kind, m)
	return nil
}

// list reads all pages. A page whose continuation has expired starts over.
func (g *gather) list(ctx context.Context, kind cluster.Kind, namespace, selector string) error {
	o := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := g.Client.Resource(kind.GVR()).Namespace(namespace).List(ctx, o)
		switch {
		case apierrors.IsNotFound(err):
			return nil // the kind has just gone
		case apierrors.IsResourceExpired(err) && o.Continue != "":
			o.Continue = ""
			continue
		case err != nil:
			return fmt.Errorf("list %s: %w", kind.GVR().GroupResource(), err)
		}
		for i := range page.Items {
			g.add(kind, &page.Items[i])
		}
		if page.Continue == "" {
			return nil
		}
		o.Continue = page.Continue
	}
}

func (g *gather) add(kind cluster.Kind, m *metav1.PartialObjectMetadata) {
	ref := applier.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: m.Namespace, Name: m.Name}
	fact := FromMeta(m, g.Manager)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.facts[ref] = fact
}
