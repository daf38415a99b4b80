// Package watch follows owned objects by watches of the API server: how they
// fare, and whether somebody changed what we applied.
//
// A Hub has one stream for each kind (and namespace, where only some may be
// read), shared by all owners of objects of that kind, and open only while
// somebody watches. Kinds that are well as soon as they exist are watched by
// their metadata. What is kept of an object is about a hundred bytes.
package watch

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Options of a Hub.
type Options struct {
	Metadata   metadata.Interface
	Dynamic    dynamic.Interface
	Manager    string   // our field manager
	Namespaces []string // the only ones that may be read; empty: all
}

// Hub shares streams.
type Hub struct {
	Options
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	streams map[key]*stream
}

// key names a stream. Pods that are not watched as owned objects, but for what
// they say of their workloads, have a stream of their own.
type key struct {
	gvr       schema.GroupVersionResource
	namespace string
	name      string // of the one object that may be read
	pods      bool
}

type status = health.Status

// podFacts ties a pod, or a workload that waits for its pods, to its entry.
type podFacts struct {
	pod     health.Pod
	rollout health.Rollout
}

// New returns a Hub without streams. Close it.
func New(o Options) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	return &Hub{Options: o, ctx: ctx, cancel: cancel, streams: map[key]*stream{}}
}

// Close ends all streams and waits for them.
func (h *Hub) Close() {
	h.cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.streams {
		<-s.done
	}
	clear(h.streams)
}

// open returns the stream of k, started if it is the first use, and adds l.
func (h *Hub) open(k key, kind cluster.Kind, l *listener) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[k]
	if s == nil {
		s = newStream(h.source(k, kind))
		h.streams[k] = s
		s.start(h.ctx)
	}
	s.listen(l, true)
	return s
}

// release removes l, and ends the stream if nobody else listens.
func (h *Hub) release(k key, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.streams[k]; s != nil && s.listen(l, false) == 0 {
		delete(h.streams, k)
		s.stop()
	}
}

func (h *Hub) source(k key, kind cluster.Kind) source {
	src := source{label: live.MemberLabel, ref: func(m metav1.Object) applier.Ref {
		return applier.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: m.GetNamespace(), Name: m.GetName()}
	}}
	if k.name != "" {
		src.field = fields.OneTermEqualSelector("metadata.name", k.name).String()
	}
	if health.Passive(kind.GroupKind()) && !k.pods {
		c := h.Metadata.Resource(k.gvr).Namespace(k.namespace)
		src.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) }
		src.watch = func(ctx context.Context, o metav1.ListOptions) (kwatch.Interface, error) { return c.Watch(ctx, o) }
		src.keep = func(m metav1.Object) entry { return h.facts(m, health.OfMeta(m)) }
		return src
	}
	c := h.Dynamic.Resource(k.gvr).Namespace(k.namespace)
	src.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return c.List(ctx, o) }
	src.watch = func(ctx context.Context, o metav1.ListOptions) (kwatch.Interface, error) { return c.Watch(ctx, o) }
	src.keep = h.full
	if k.pods {
		src.label, src.keep = "", podEntry
	}
	return src
}

func (h *Hub) facts(m metav1.Object, s status) entry {
	return entry{
		uid:     string(m.GetUID()),
		member:  m.GetLabels()[live.MemberLabel],
		owned:   live.OwnedHash(m.GetManagedFields(), h.Manager),
		version: number(m.GetResourceVersion()),
		status:  s,
	}
}

// full keeps an object whose content was read too.
func (h *Hub) full(m metav1.Object) entry {
	u, ok := m.(*unstructured.Unstructured)
	if !ok {
		return h.facts(m, health.OfMeta(m))
	}
	e := h.facts(u, health.Of(u))
	if rollout, ok := health.RolloutOf(u); ok && e.status.Health == applier.InProgress {
		e.pod = &podFacts{rollout: rollout}
	}
	return e
}

func podEntry(m metav1.Object) entry {
	u, ok := m.(*unstructured.Unstructured)
	if !ok {
		return entry{}
	}
	return entry{uid: string(u.GetUID()), version: number(u.GetResourceVersion()), pod: &podFacts{pod: health.PodOf(u)}}
}
