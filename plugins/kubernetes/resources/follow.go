package resources

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Follow implements applier.ResourceKeeper. It returns when ctx ends.
func (k *Keeper) Follow(ctx context.Context, filter applier.ResourceFilter, emit func(applier.Resource)) error {
	kinds := distinctKinds(filter.Kinds)
	scopes := k.scopes(filter.Namespaces)
	f := &following{Keeper: k, emit: emit, pending: int64(len(kinds)) + 1}
	var wg sync.WaitGroup
	for _, gvk := range kinds {
		wg.Go(func() { f.kind(ctx, gvk, scopes) })
	}
	f.settled() // nothing to follow is complete at once
	wg.Wait()
	<-ctx.Done()
	return ctx.Err()
}

func distinctKinds(list []applier.VersionedKind) []schema.GroupVersionKind {
	var out []schema.GroupVersionKind
	for _, k := range list {
		gvk := schema.GroupVersionKind{Group: k.Group, Version: k.Version, Kind: k.Kind}
		if !slices.Contains(out, gvk) {
			out = append(out, gvk)
		}
	}
	return out
}

// following is one call of Follow.
type following struct {
	*Keeper
	emit    func(applier.Resource)
	pending int64 // how many have not had their first pass yet
}

// settled says that one of those that are pending is through.
func (f *following) settled() {
	if atomic.AddInt64(&f.pending, -1) == 0 {
		f.emit(applier.Resource{})
	}
}

// kind follows the objects of one kind, whether or not it is served.
func (f *following) kind(ctx context.Context, gvk schema.GroupVersionKind, scopes []string) {
	settled := sync.OnceFunc(f.settled)
	feeds := make([]*feed, len(scopes))
	for i, namespace := range scopes {
		feeds[i] = newFeed(f, gvk, namespace)
		defer feeds[i].forget()
	}
	for ctx.Err() == nil {
		served, err := f.untilServed(ctx, gvk, settled)
		if err != nil {
			return // ctx has ended
		}
		if !served.Namespaced && len(f.Namespaces) > 0 {
			settled() // its objects are in no namespace, so none of them may be read
			<-ctx.Done()
			return
		}
		f.run(ctx, feeds, served, settled)
		if ctx.Err() != nil {
			return
		}
		for _, feed := range feeds {
			feed.vanish()
		}
	}
}

// run runs the feeds of a kind until ctx ends or the kind is not served any
// more. It calls settled when each of them has had its first pass.
func (f *following) run(ctx context.Context, feeds []*feed, served cluster.Served, settled func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	left := int64(len(feeds))
	if left == 0 {
		settled() // no namespace is left to look at
		<-ctx.Done()
		return
	}
	for _, feed := range feeds {
		wg.Go(func() {
			defer cancel()
			feed.run(ctx, served, sync.OnceFunc(func() {
				if atomic.AddInt64(&left, -1) == 0 {
					settled()
				}
			}))
		})
	}
	wg.Wait()
}

// untilServed waits until a kind is served. What cannot be asked is asked
// again. It returns an error only if ctx ends.
func (f *following) untilServed(ctx context.Context, gvk schema.GroupVersionKind, settled func()) (cluster.Served, error) {
	ref := applier.Ref{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}
	trouble := &trouble{following: f, ref: ref}
	missing := false
	d := newDefinition(f.Keeper, gvk)
	for pause := newPause(); ; {
		served, err := f.askKind(ctx, gvk)
		if ctx.Err() != nil {
			return served, ctx.Err()
		}
		switch {
		case err == nil:
			trouble.over()
			if missing {
				f.emit(applier.Resource{Ref: ref})
			}
			return served, nil
		case notServed(err):
			trouble.over()
			if !missing {
				f.emit(applier.Resource{Ref: ref, Deleted: true})
			}
			missing = true
			settled()
			d.changes(ctx)
			pause.reset()
		default:
			trouble.tell(err)
			settled()
			pause.wait(ctx)
		}
	}
}

// trouble tells the host why objects cannot be seen, and that they can be
// again, each once.
type trouble struct {
	*following
	ref  applier.Ref // kind and namespace
	said string
}

func (t *trouble) tell(err error) {
	if text := err.Error(); text != t.said && !errors.Is(err, context.Canceled) {
		t.said = text
		t.emit(applier.Resource{Ref: t.ref, Problem: text})
	}
}

func (t *trouble) over() {
	if t.said != "" {
		t.said = ""
		t.emit(applier.Resource{Ref: t.ref})
	}
}
