package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	pageSize      = 500
	pageCost      = 8  // reads of single objects that a full page is worth
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

// Want is an object to read facts about. Kind is how it was served when it was
// applied, or will be when its definition is; it may be zero.
type Want struct {
	Ref  applier.Ref
	Kind cluster.Kind
}

// Facts is what was read. It is not changed after Read has returned it.
type Facts struct {
	known map[applier.Ref]Fact
	blind map[schema.GroupKind]string

	namespaces []string // nothing outside was looked at; empty: no limit
}

// Get returns what is known of an object. One that is not known does not
// exist, unless it is Blind.
func (f Facts) Get(ref applier.Ref) (Fact, bool) {
	fact, ok := f.known[ref.Identity()]
	return fact, ok
}

// Blind returns why nothing can be said about an object, or "".
func (f Facts) Blind(ref applier.Ref) string {
	if why := desired.Outside(f.namespaces, ref); why != "" {
		return why
	}
	return f.blind[schema.GroupKind{Group: ref.Group, Kind: ref.Kind}]
}

// All iterates over the objects that exist.
func (f Facts) All() iter.Seq2[applier.Ref, Fact] { return maps.All(f.known) }

// NewFacts returns Facts that consist of known, for tests and simulations.
func NewFacts(known map[applier.Ref]Fact) Facts { return Facts{known: known} }

// Read returns the facts about the objects wanted, and about every other
// object of their kinds that is a member of the ApplySet id, unless id is
// empty. Namespaces are read first: in one that does not exist nothing is
// looked for. An object outside the reader's namespaces is not looked at: its facts
// are Blind.
func (r Reader) Read(ctx context.Context, id string, wants []Want) (Facts, error) {
	g := &gather{Reader: r, facts: Facts{known: map[applier.Ref]Fact{}, blind: map[schema.GroupKind]string{}, namespaces: r.Namespaces}}
	byKind := map[schema.GroupKind][]Want{}
	for _, w := range wants {
		if desired.Outside(r.Namespaces, w.Ref) != "" {
			continue
		}
		gk := schema.GroupKind{Group: w.Ref.Group, Kind: w.Ref.Kind}
		byKind[gk] = append(byKind[gk], w)
	}
	if wants := byKind[namespaceKind]; len(wants) > 0 {
		if err := g.kind(ctx, id, namespaceKind, wants); err != nil {
			return Facts{}, err
		}
		delete(byKind, namespaceKind)
		g.missing = g.missingNamespaces(wants)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for gk, wants := range byKind {
		group.Go(func() error { return g.kind(ctx, id, gk, wants) })
	}
	if err := group.Wait(); err != nil {
		return Facts{}, err
	}
	return g.facts, nil
}

type gather struct {
	Reader
	missing   map[string]bool // namespaces that do not exist, so nothing is in them
	refreshed sync.Once
	mu        sync.Mutex
	facts     Facts
}

var namespaceKind = schema.GroupKind{Kind: "Namespace"}

// missingNamespaces returns those of the namespaces wanted that do not exist.
// One that nothing can be said about may.
func (g *gather) missingNamespaces(wants []Want) map[string]bool {
	missing := map[string]bool{}
	for _, w := range wants {
		if _, exists := g.facts.Get(w.Ref); !exists && g.facts.Blind(w.Ref) == "" {
			missing[w.Ref.Name] = true
		}
	}
	return missing
}

// kind reads one kind: the members first, then the rest of what is wanted.
func (g *gather) kind(ctx context.Context, id string, gk schema.GroupKind, wants []Want) error {
	kind, err := g.find(ctx, gk, wants)
	if missing, ok := errors.AsType[*cluster.NotServedError](err); ok && missing.Cause != nil {
		g.unseen(gk, missing)
		return nil
	} else if ok {
		return nil // nothing of it exists
	} else if err != nil {
		return err
	}
	err = g.members(ctx, kind, id)
	if err == nil {
		err = g.others(ctx, kind, g.unknown(wants))
	}
	if apierrors.IsForbidden(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsMethodNotSupported(err) {
		g.unseen(gk, err) // harms the objects of this kind only
		return nil
	}
	return err
}

func (g *gather) unseen(gk schema.GroupKind, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.facts.blind[gk] = err.Error()
}

func (g *gather) members(ctx context.Context, kind cluster.Kind, id string) error {
	if id == "" || !kind.Namespaced && len(g.Namespaces) > 0 {
		return nil // none are asked for, or they may only be read one by one
	}
	for _, namespace := range g.scopes(kind) {
		if err := g.list(ctx, kind, namespace, MemberLabel+"="+id, func(page *metav1.PartialObjectMetadataList) bool {
			for i := range page.Items {
				g.add(kind, &page.Items[i])
			}
			return true
		}); err != nil {
			return err
		}
	}
	return nil
}

// find asks what is served. What the API server says of kinds may be a moment
// behind a definition that was just applied; then the kind is tried as it was
// served: if it does not exist, the lists come back empty.
func (g *gather) find(ctx context.Context, gk schema.GroupKind, wants []Want) (cluster.Kind, error) {
	gvk := gk.WithVersion(wants[0].Ref.Version)
	kind, err := g.Kinds.Any(ctx, gvk)
	if _, missing := errors.AsType[*cluster.NotServedError](err); !missing {
		return kind, err
	}
	g.refreshed.Do(func() { err = g.Kinds.Refresh(ctx) })
	if kind, err = g.Kinds.Any(ctx, gvk); err == nil {
		return kind, nil
	}
	if missing, ok := errors.AsType[*cluster.NotServedError](err); ok && missing.Cause == nil {
		for _, w := range wants {
			if w.Kind.Resource != "" {
				return w.Kind, nil
			}
		}
	}
	return kind, err
}

// scopes are the namespaces to list a kind in; "" is all of them, or none for
// a cluster-scoped kind.
func (g *gather) scopes(kind cluster.Kind) []string {
	if kind.Namespaced && len(g.Namespaces) > 0 {
		return g.Namespaces
	}
	return []string{""}
}

// unknown returns what is wanted and not known, each object once, without what
// is in a namespace that does not exist.
func (g *gather) unknown(wants []Want) map[applier.Ref]bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	refs := map[applier.Ref]bool{}
	for _, w := range wants {
		if _, known := g.facts.Get(w.Ref); !known && !g.missing[w.Ref.Namespace] {
			refs[w.Ref.Identity()] = true
		}
	}
	return refs
}

// others reads objects that are not members: a few one by one, many by lists
// of the namespaces they are in.
func (g *gather) others(ctx context.Context, kind cluster.Kind, refs map[applier.Ref]bool) error {
	if len(refs) > fewObjects && (kind.Namespaced || len(g.Namespaces) == 0) {
		all, err := g.search(ctx, kind, refs)
		if err != nil || all {
			return err
		}
	}
	for ref := range refs {
		if err := g.get(ctx, kind, ref); err != nil {
			return err
		}
	}
	return nil
}

// search takes what it finds out of refs. It lists the namespaces of refs, but
// gives up where the pages that are left cost more than looking for the objects
// one by one. all says that it read everything, so what is left does not exist.
func (g *gather) search(ctx context.Context, kind cluster.Kind, refs map[applier.Ref]bool) (all bool, err error) {
	all = true
	for _, namespace := range g.namespacesOf(refs) {
		if err := g.list(ctx, kind, namespace, "", func(page *metav1.PartialObjectMetadataList) bool {
			for i := range page.Items {
				ref := refOf(kind, &page.Items[i])
				if refs[ref] {
					g.add(kind, &page.Items[i])
					delete(refs, ref)
				}
			}
			if page.RemainingItemCount == nil || pageCost*(*page.RemainingItemCount/pageSize) < int64(len(refs)) {
				return true
			}
			all = false
			return false
		}); err != nil {
			return false, err
		}
	}
	return all, nil
}

// namespacesOf are the namespaces to list to find refs: "" for all of them.
func (g *gather) namespacesOf(refs map[applier.Ref]bool) []string {
	var namespaces []string
	for ref := range refs {
		if !slices.Contains(namespaces, ref.Namespace) {
			namespaces = append(namespaces, ref.Namespace)
		}
	}
	if len(namespaces) > fewNamespaces && len(g.Namespaces) == 0 {
		return []string{""}
	}
	return namespaces
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

// list reads all pages, or as many as see wants to see. A page whose
// continuation has expired starts over.
func (g *gather) list(ctx context.Context, kind cluster.Kind, namespace, selector string, see func(*metav1.PartialObjectMetadataList) (more bool)) error {
	o := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := g.Client.Resource(kind.GVR()).Namespace(namespace).List(ctx, o)
		switch {
		case apierrors.IsNotFound(err):
			g.Kinds.Forget() // the kind has gone
			return nil
		case apierrors.IsResourceExpired(err) && o.Continue != "":
			o.Continue = ""
			continue
		case err != nil:
			return fmt.Errorf("list %s: %w", kind.GVR().GroupResource(), err)
		}
		if !see(page) || page.Continue == "" {
			return nil
		}
		o.Continue = page.Continue
	}
}

func (g *gather) add(kind cluster.Kind, m *metav1.PartialObjectMetadata) {
	fact := FromMeta(m, g.Manager)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.facts.known[refOf(kind, m)] = fact
}

func refOf(kind cluster.Kind, m *metav1.PartialObjectMetadata) applier.Ref {
	return applier.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: m.Namespace, Name: m.Name}
}
