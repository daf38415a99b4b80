package resources

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

const (
	// blindPause is how often a kind is looked for where its definition may
	// not be watched.
	blindPause = time.Minute
	// servingTime is how long a definition that is there may take until the
	// API server serves what it defines.
	servingTime = 30 * time.Second
)

// definition tells when it is time to ask again whether a kind is served. It
// watches the one CustomResourceDefinition that is called as Kubernetes would
// call it.
type definition struct {
	*Keeper
	name   string
	since  string // resourceVersion from which on changes are of interest
	recent time.Time
	pause  *pause
	denied bool // it may not be watched
}

func newDefinition(k *Keeper, gvk schema.GroupVersionKind) *definition {
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	return &definition{Keeper: k, name: plural.Resource + "." + plural.Group, pause: newPause(), denied: len(k.Namespaces) > 0}
}

func (d *definition) selected() metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", d.name).String()}
}

// changes waits until the definition has changed, or until so much time has
// passed that the kind may be served for another reason.
func (d *definition) changes(ctx context.Context) {
	switch {
	case d.denied:
		sleep(ctx, blindPause)
	case time.Since(d.recent) < servingTime: // what has just changed takes effect a moment later
		d.pause.wait(ctx)
	case d.since == "":
		d.look(ctx)
	default:
		d.watch(ctx)
	}
}

// look finds out from where to watch, and watches unless the definition is
// there: it may have come since the API server was asked.
func (d *definition) look(ctx context.Context) {
	list, err := d.Client.Metadata.Resource(definitions).List(ctx, d.selected())
	switch {
	case apierrors.IsForbidden(err):
		d.denied = true
		d.Log.Info("the applier may not watch the definition "+d.name+"; whether it is there is asked once a minute",
			"error", cluster.Grant(err, definitions.GroupResource(), "", "get", "list", "watch"))
	case err != nil:
		d.pause.wait(ctx)
	default:
		d.since = list.ResourceVersion
		if len(list.Items) > 0 {
			d.changed()
			return
		}
		d.watch(ctx)
	}
}

func (d *definition) watch(ctx context.Context) {
	o := d.selected()
	o.ResourceVersion, o.AllowWatchBookmarks = d.since, true
	w, err := d.Client.Metadata.Resource(definitions).Watch(ctx, o)
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsForbidden(err) {
			d.since = ""
		}
		d.pause.wait(ctx)
		return
	}
	defer w.Stop()
	began := time.Now()
	for d.next(ctx, w) {
	}
	if time.Since(began) > goodRun {
		d.pause.reset()
	}
	if ctx.Err() == nil && time.Since(d.recent) >= servingTime {
		d.pause.wait(ctx) // the watch ended without news
	}
}

// next takes one event and tells whether there is more to wait for.
func (d *definition) next(ctx context.Context, w watch.Interface) bool {
	select {
	case <-ctx.Done():
		return false
	case event, open := <-w.ResultChan():
		if !open {
			return false
		}
		m, err := meta.Accessor(event.Object)
		if err != nil || event.Type == watch.Error {
			d.since = ""
			return false
		}
		if d.since = m.GetResourceVersion(); event.Type == watch.Bookmark {
			return true
		}
		d.changed()
		return false
	}
}

func (d *definition) changed() {
	d.recent = time.Now()
	d.pause.reset()
}
