package releases

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
)

// place is where an object is.
type place struct {
	resource schema.GroupVersionResource
	types.NamespacedName
}

// state is what tells whether an object may have become something else.
type state struct {
	uid     types.UID
	version string            // resource version
	writes  [sha256.Size]byte // of what was written beside the status; zero: unknown
}

// same tells whether nothing has been written but the status. Of two writes of
// one writer within a second, to an object whose writes the API server does not
// count, the second may go unnoticed.
func (s state) same(other state) bool {
	return s.uid == other.uid && s.uid != "" &&
		(s.version == other.version || s.writes == other.writes && s.writes != [sha256.Size]byte{})
}

// stateOf is the state of an object with these metadata. Where nobody writes a
// status, every version counts.
func stateOf(o metav1.Object) (state, error) {
	s := state{uid: o.GetUID(), version: o.GetResourceVersion()}
	type write struct {
		Manager, Subresource string
		Operation            metav1.ManagedFieldsOperationType
		Time                 *metav1.Time
	}
	var writes []write
	status := false
	for _, f := range o.GetManagedFields() {
		if f.Subresource == "status" {
			status = true
			continue
		}
		writes = append(writes, write{f.Manager, f.Subresource, f.Operation, f.Time})
	}
	if len(writes) == 0 || o.GetGeneration() == 0 && !status {
		return s, nil
	}
	text, err := json.Marshal([]any{
		o.GetGeneration(), o.GetLabels(), o.GetAnnotations(), o.GetFinalizers(), o.GetOwnerReferences(), o.GetDeletionTimestamp(), writes,
	})
	if err != nil {
		return state{}, fmt.Errorf("metadata of %s: %w", o.GetName(), err)
	}
	s.writes = sha256.Sum256(text)
	return s, nil
}

// selector takes what Helm has created.
const selector = "app.kubernetes.io/managed-by=Helm"

// mostListed objects of a kind are looked at together.
const mostListed = 50_000

// listings are the states of all that Helm has created, by kind: one list of
// metadata for all comparisons of about the same time.
type listings struct {
	client     metadata.Interface
	namespaces []string

	mu    sync.Mutex
	kinds map[schema.GroupVersionResource]*shared[map[types.NamespacedName]state]
}

func newListings(client metadata.Interface, namespaces []string) *listings {
	return &listings{client: client, namespaces: namespaces, kinds: map[schema.GroupVersionResource]*shared[map[types.NamespacedName]state]{}}
}

// of returns the states of a kind as they were a short time ago, and after
// since.
func (l *listings) of(ctx context.Context, r schema.GroupVersionResource, since time.Time) (map[types.NamespacedName]state, error) {
	l.mu.Lock()
	kind := l.kinds[r]
	if kind == nil {
		made := newShared[map[types.NamespacedName]state]()
		kind = &made
		l.kinds[r] = kind
	}
	l.mu.Unlock()
	return kind.get(ctx, since, func(ctx context.Context) (map[types.NamespacedName]state, error) { return l.ask(ctx, r) })
}

func (l *listings) ask(ctx context.Context, r schema.GroupVersionResource) (map[types.NamespacedName]state, error) {
	all := map[types.NamespacedName]state{}
	for _, namespace := range l.namespaces {
		err := pages(ctx, l.client.Resource(r).Namespace(namespace), selector, func(o *metav1.ObjectMeta) error {
			s, err := stateOf(o)
			if all[types.NamespacedName{Namespace: o.Namespace, Name: o.Name}] = s; err == nil && len(all) > mostListed {
				err = fmt.Errorf("there are more than %d %s", mostListed, r.Resource)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pageSize is how many objects are listed at once.
const pageSize = 500

// pages calls each for the metadata of every object that the selector takes.
func pages(ctx context.Context, from metadata.ResourceInterface, selector string, each func(*metav1.ObjectMeta) error) error {
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := from.List(ctx, options)
		if err != nil {
			return err
		}
		for item := range slices.Values(page.Items) {
			if err := each(&item.ObjectMeta); err != nil {
				return err
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}
