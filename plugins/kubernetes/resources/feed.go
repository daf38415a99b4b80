package resources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	pageSize = 250
	goodRun  = 5 * time.Second // a watch that lived this long was a good one
	// patience is how many rounds may fail for another reason than rights
	// before the host hears of it.
	patience = 2
)

// feed emits the objects of one kind in one namespace, or in all. It is used
// by one goroutine at a time.
type feed struct {
	following *following
	gvk       schema.GroupVersionKind
	namespace string

	served  cluster.Served
	known   map[types.NamespacedName]known // what was emitted
	version string                         // to go on from; empty: everything is to be listed
	causes  *causes
	trouble trouble
	failed  int // rounds in a row
}

// known is what the host knows of an object.
type known struct {
	uid      types.UID
	version  string
	held     bool // it had a finalizer once
	deleting bool
	cause    cause
}

func newFeed(f *following, gvk schema.GroupVersionKind, namespace string) *feed {
	return &feed{
		following: f, gvk: gvk, namespace: namespace, known: map[types.NamespacedName]known{},
		trouble: trouble{following: f, ref: applier.Ref{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: namespace}},
	}
}

// run lists and watches until ctx ends or the kind is not served any more. It
// calls settled when the objects have been emitted for the first time, or when
// it is clear that they cannot be, which does not end the following.
func (f *feed) run(ctx context.Context, served cluster.Served, settled func()) {
	f.served, f.version, f.causes = served, "", newCauses(f.following.Keeper)
	for pause := newPause(); ctx.Err() == nil; pause.wait(ctx) {
		began := time.Now()
		err := f.round(ctx, settled)
		if ctx.Err() != nil {
			return
		}
		if apierrors.IsNotFound(err) && f.gone(ctx) {
			return
		}
		f.judge(err, settled)
		if time.Since(began) > goodRun {
			pause.reset()
		}
	}
}

// gone tells whether the kind is not served any more.
func (f *feed) gone(ctx context.Context) bool {
	_, err := f.following.askKind(ctx, f.gvk)
	return notServed(err)
}

// judge tells the host of a failure that does not pass by itself soon.
func (f *feed) judge(err error, settled func()) {
	if err == nil {
		f.failed = 0
		return
	}
	f.failed++
	if f.failed < patience && !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		return
	}
	f.trouble.tell(f.explain(err))
	settled()
}

func (f *feed) explain(err error) error {
	place := "all namespaces"
	if f.namespace != "" {
		place = "namespace " + f.namespace
	}
	resource := f.served.GVR().GroupResource()
	return fmt.Errorf("%s in %s cannot be followed: %w", resource, place, cluster.Grant(err, resource, f.namespace, "get", "list", "watch"))
}

func (f *feed) client() dynamic.ResourceInterface {
	return f.following.Client.Dynamic.Resource(f.served.GVR()).Namespace(f.namespace)
}

// round lists if there is no version to go on from, then watches until the
// watch ends.
func (f *feed) round(ctx context.Context, settled func()) error {
	if f.version == "" {
		version, err := f.list(ctx)
		if err != nil {
			return err
		}
		f.version = version
		settled()
	}
	w, err := f.client().Watch(ctx, metav1.ListOptions{ResourceVersion: f.version, AllowWatchBookmarks: true})
	if err != nil {
		var answer apierrors.APIStatus
		if errors.As(err, &answer) && !apierrors.IsTooManyRequests(err) {
			f.version = "" // it is too old, or something else that a new list clears up
		}
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return nil
		}
		return err
	}
	defer w.Stop()
	f.failed = 0
	f.trouble.over()
	return f.follow(ctx, w)
}

// list emits every object that the host does not know in this version, then
// the deletion of those that have gone.
func (f *feed) list(ctx context.Context) (version string, err error) {
	there := map[types.NamespacedName]bool{}
	for o := (metav1.ListOptions{Limit: pageSize}); ; {
		page, err := f.client().List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			there[nameOf(&page.Items[i])] = true
			if err := f.see(ctx, &page.Items[i]); err != nil {
				return "", err
			}
		}
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return page.GetResourceVersion(), f.sweep(ctx, there)
		}
	}
}

// sweep emits the deletion of what is not there any more.
func (f *feed) sweep(ctx context.Context, there map[types.NamespacedName]bool) error {
	for name := range f.known {
		if there[name] {
			continue
		}
		if err := f.end(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// vanish emits the deletion of everything: the kind is not served any more.
func (f *feed) vanish() {
	f.trouble.over()
	for name, k := range f.known {
		k.cause.definition = k.cause.definition || !k.deleting
		f.known[name] = k
		f.lose(name)
	}
}

func (f *feed) follow(ctx context.Context, w kwatch.Interface) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-w.ResultChan():
			if !open {
				return nil
			}
			u, ok := event.Object.(*unstructured.Unstructured)
			if event.Type == kwatch.Error || !ok {
				f.version = ""
				return nil
			}
			if err := f.take(ctx, event.Type, u); err != nil {
				return err
			}
			f.version = u.GetResourceVersion()
		}
	}
}

func (f *feed) take(ctx context.Context, what kwatch.EventType, u *unstructured.Unstructured) error {
	switch what {
	case kwatch.Added, kwatch.Modified:
		return f.see(ctx, u)
	case kwatch.Deleted:
		if k, there := f.known[nameOf(u)]; there && k.uid == u.GetUID() {
			return f.end(ctx, nameOf(u))
		}
	}
	return nil
}

// see emits an object unless the host knows it as it is.
func (f *feed) see(ctx context.Context, u *unstructured.Unstructured) error {
	name := nameOf(u)
	before, there := f.known[name]
	if there && before.uid != u.GetUID() {
		f.lose(name) // it was made anew
		before, there = known{}, false
	}
	if there && before.version == u.GetResourceVersion() {
		return nil
	}
	now := known{
		uid: u.GetUID(), version: u.GetResourceVersion(), held: before.held || len(u.GetFinalizers()) > 0,
		deleting: u.GetDeletionTimestamp() != nil, cause: before.cause,
	}
	if now.deleting && !before.deleting {
		var err error
		if now.cause, err = f.causes.of(ctx, f.served, u); err != nil {
			return err
		}
	}
	f.known[name] = now
	f.following.seen.put(now.uid, factsOf(u, now.cause))
	r, err := resourceOf(u, now.cause)
	if err != nil {
		return err
	}
	f.following.emit(r)
	return nil
}

// end finds out why an object has gone, if that is not known, and emits it. One
// that a finalizer has held, and that was not seen to go, may have been freed by
// hand to get rid of its definition.
func (f *feed) end(ctx context.Context, name types.NamespacedName) error {
	k := f.known[name]
	if k.held && !k.deleting {
		var err error
		if k.cause.definition, err = f.causes.definitionNow(ctx, f.served); err != nil {
			return err
		}
		f.known[name] = k
	}
	f.lose(name)
	return nil
}

// lose emits that an object has gone.
func (f *feed) lose(name types.NamespacedName) {
	k := f.known[name]
	delete(f.known, name)
	f.following.seen.drop(k.uid)
	f.following.emit(applier.Resource{
		Ref: applier.Ref{Group: f.gvk.Group, Version: f.gvk.Version, Kind: f.gvk.Kind, Namespace: name.Namespace, Name: name.Name},
		UID: string(k.uid), Deleted: true, DefinitionDeleting: k.cause.definition, NamespaceDeleting: k.cause.namespace,
	})
}

// forget drops what was remembered for changes.
func (f *feed) forget() {
	for _, k := range f.known {
		f.following.seen.drop(k.uid)
	}
}

func nameOf(u *unstructured.Unstructured) types.NamespacedName {
	return types.NamespacedName{Namespace: u.GetNamespace(), Name: u.GetName()}
}

// resourceOf takes the managed fields out of u.
func resourceOf(u *unstructured.Unstructured, c cause) (applier.Resource, error) {
	u.SetManagedFields(nil)
	object, err := u.MarshalJSON()
	if err != nil {
		return applier.Resource{}, fmt.Errorf("%s %s: %w", u.GetKind(), nameOf(u), err)
	}
	gvk := u.GroupVersionKind()
	deleting := u.GetDeletionTimestamp() != nil
	return applier.Resource{
		Ref: applier.Ref{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()},
		UID: string(u.GetUID()), Generation: u.GetGeneration(), Object: bytes.TrimSpace(object),
		Deleting: deleting, DefinitionDeleting: deleting && c.definition, NamespaceDeleting: deleting && c.namespace,
	}, nil
}
