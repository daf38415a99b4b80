package cluster

import (
	"context"
	"errors"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
)

// Until watches until see returns true for an event, ctx ends, or the server
// does not allow it. A watch that ends or fails is started again, with growing
// pauses.
func Until(ctx context.Context, start func(context.Context) (watch.Interface, error), see func(watch.Event) bool) error {
	for try := 1; ; try++ {
		w, err := start(ctx)
		if err == nil && consume(ctx, w, see) {
			return nil
		}
		if apierrors.IsForbidden(err) {
			return err
		}
		if ended := sleep(ctx, backOff(try)); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

func consume(ctx context.Context, w watch.Interface, see func(watch.Event) bool) bool {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case event, open := <-w.ResultChan():
			if !open || event.Type == watch.Error {
				return false
			}
			if see(event) {
				return true
			}
		}
	}
}

// WaitGone waits until no object that o selects has one of uids. It takes each
// uid out of the set as its object goes, so that what is left when ctx ends is
// what is still there, with the finalizers that hold it. It gives up at once if
// the server does not allow it to look.
func WaitGone(ctx context.Context, c metadata.ResourceInterface, o metav1.ListOptions, uids map[types.UID][]string) error {
	for try := 1; ; try++ {
		version, err := present(ctx, c, o, uids)
		if err == nil && len(uids) == 0 || apierrors.IsForbidden(err) {
			return err
		}
		if err == nil {
			from := o
			from.Limit, from.ResourceVersion = 0, version
			if w, err := c.Watch(ctx, from); err == nil && consume(ctx, w, func(e watch.Event) bool { return track(e, uids) }) {
				return nil
			}
		}
		if ended := sleep(ctx, backOff(try)); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// present leaves in uids only those that are there now.
func present(ctx context.Context, c metadata.ResourceInterface, o metav1.ListOptions, uids map[types.UID][]string) (string, error) {
	there := map[types.UID][]string{}
	for {
		page, err := c.List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			if _, asked := uids[page.Items[i].UID]; asked {
				there[page.Items[i].UID] = page.Items[i].Finalizers
			}
		}
		if page.Continue == "" {
			clear(uids)
			maps.Copy(uids, there)
			return page.ResourceVersion, nil
		}
		o.Continue = page.Continue
	}
}

// track notes what an event says, and tells whether nothing is left.
func track(event watch.Event, uids map[types.UID][]string) bool {
	m, err := meta.Accessor(event.Object)
	if err != nil {
		return false
	}
	if event.Type == watch.Deleted {
		delete(uids, m.GetUID())
	} else if _, asked := uids[m.GetUID()]; asked {
		uids[m.GetUID()] = m.GetFinalizers()
	}
	return len(uids) == 0
}
