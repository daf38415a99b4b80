package watch

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// catchUp is how long the first pass waits for streams that are behind an
// apply of this process.
const catchUp = 5 * time.Second

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// Watch emits the status of each of owner's objects, then an ObjectStatus with
// a zero Ref, then, unless once is set, each change until ctx ends. load posts
// the owner's records to the ledger; it is called if nobody has yet.
func (h *Hub) Watch(ctx context.Context, l *Ledger, owner, id string, kinds *cluster.Kinds, load func(context.Context) error, once bool, emit func(applier.ObjectStatus)) error {
	w := &watcher{hub: h, ledger: l, owner: owner, id: id, kinds: kinds, wake: make(chan struct{}, 1),
		dirty: map[applier.Ref]bool{}, said: map[applier.Ref]applier.ObjectStatus{}, streams: map[key]*stream{}}
	w.listener.touched = w.touched
	if !l.known(owner) {
		if err := load(ctx); err != nil {
			return err
		}
	}
	l.attend(owner, w, true)
	defer w.close()
	if err := w.firstPass(ctx, emit); err != nil || once {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		if err := w.pass(ctx, emit, false); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// watcher is one call of Watch. Its methods run in the caller's goroutine,
// except touched and recount, which only take notes.
type watcher struct {
	hub      *Hub
	ledger   *Ledger
	owner    string
	id       string
	kinds    *cluster.Kinds
	listener listener
	streams  map[key]*stream
	said     map[applier.Ref]applier.ObjectStatus

	mu    sync.Mutex
	dirty map[applier.Ref]bool
	again bool // everything is to be looked at
	wake  chan struct{}
}

func (w *watcher) close() {
	w.ledger.attend(w.owner, w, false)
	for k := range w.streams {
		w.hub.release(k, &w.listener)
	}
}

// touched notes a change that a stream saw. A pod concerns the workloads of
// its namespace that are not ready.
func (w *watcher) touched(ref applier.Ref, before, now entry) {
	if before.member != w.id && now.member != w.id && !isPod(ref) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirty[ref] = true
	w.nudge()
}

func (w *watcher) recount() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.again = true
	w.nudge()
}

func (w *watcher) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (dirty map[applier.Ref]bool, again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirty, again = w.dirty, w.again
	w.dirty, w.again = map[applier.Ref]bool{}, false
	return dirty, again
}

// firstPass says everything, and waits for streams that have not seen yet what
// this process applied.
func (w *watcher) firstPass(ctx context.Context, emit func(applier.ObjectStatus)) error {
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	for late := false; ; {
		w.recount()
		<-w.wake
		if err := w.pass(ctx, emit, late); err != nil {
			return err
		}
		records, _ := w.ledger.read(w.owner)
		if len(w.said) >= len(records) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		case <-limit.C:
			late = true
		}
	}
	emit(applier.ObjectStatus{})
	return nil
}

// pass brings the streams in line with the records, then says what changed.
// With late it says what it sees even if that may be outdated.
func (w *watcher) pass(ctx context.Context, emit func(applier.ObjectStatus), late bool) error {
	records, busy := w.ledger.read(w.owner)
	dirty, again := w.take()
	if again {
		if err := w.tune(ctx, records); err != nil {
			return err
		}
	}
	for _, ref := range w.toSay(records, dirty, again) {
		r := records[ref]
		now, sure := w.judge(ctx, r, busy)
		if !sure && !late {
			continue
		}
		if said, known := w.said[ref]; !known || said != now {
			w.said[ref] = now
			emit(now)
		}
	}
	maps.DeleteFunc(w.said, func(ref applier.Ref, _ applier.ObjectStatus) bool {
		_, owned := records[ref]
		return !owned
	})
	w.dropPods()
	return ctx.Err()
}

// toSay lists the records to look at: those that changed, and the workloads
// that are waiting in a namespace where a pod did.
func (w *watcher) toSay(records map[applier.Ref]Record, dirty map[applier.Ref]bool, again bool) []applier.Ref {
	moved := map[string]bool{}
	for ref := range dirty {
		if isPod(ref) {
			moved[ref.Namespace] = true
		}
	}
	var refs []applier.Ref
	for ref := range records {
		if again || dirty[ref] || moved[ref.Namespace] && w.said[ref].Health != applier.Current {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, inventory.Compare)
	return refs
}

// judge says how an object fares. It is not sure while the stream has not come
// as far as our own last apply of the object.
func (w *watcher) judge(ctx context.Context, r Record, busy bool) (s applier.ObjectStatus, sure bool) {
	s = applier.ObjectStatus{Ref: r.Ref, Health: applier.Unknown}
	kind, err := w.kind(ctx, r)
	if err != nil {
		s.Message = err.Error()
		return s, true
	}
	st := w.streams[w.key(kind, r.Ref)]
	if st == nil {
		return s, false
	}
	e, version, problem := st.get(r.Ref.Identity())
	if problem != "" {
		s.Message = problem
		return s, true
	}
	if applied := number(r.Version); e.version < applied && version < applied {
		return s, false
	}
	s.Drifted = !busy && r.Owned != "" && (e.owned != r.Owned || e.uid != r.UID)
	if e.uid == "" {
		s.Health, s.Message = applier.NotFound, "it does not exist"
		return s, true
	}
	s.Health, s.Message = e.status.Health, e.status.Message
	w.askPods(ctx, r.Ref.Namespace, e, &s)
	return s, true
}

// askPods looks for a pod that keeps a workload from getting ready. The pods of
// a namespace are watched from the first time a workload there is not ready.
func (w *watcher) askPods(ctx context.Context, namespace string, e entry, s *applier.ObjectStatus) {
	if e.pod == nil || s.Health != applier.InProgress {
		return
	}
	k := key{gvr: pods, namespace: namespace, pods: true}
	st := w.streams[k]
	if st == nil {
		st = w.hub.open(k, cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, Resource: "pods", Namespaced: true}, &w.listener)
		w.streams[k] = st
		if !synced(ctx, st) {
			return
		}
	}
	var all []health.Pod
	for _, p := range st.all() {
		all = append(all, p.pod.pod)
	}
	if why := e.pod.rollout.Failure(all); why != "" {
		s.Health, s.Message = applier.Stalled, why
	} else if why := e.pod.rollout.Waiting(all); why != "" {
		s.Message += "; " + why
	}
}

// tune opens the streams that records need and closes the others.
func (w *watcher) tune(ctx context.Context, records map[applier.Ref]Record) error {
	need := map[key]bool{}
	for _, r := range records {
		kind, err := w.kind(ctx, r)
		if err != nil {
			continue // judge says so
		}
		k := w.key(kind, r.Ref)
		if need[k] = true; w.streams[k] == nil {
			w.streams[k] = w.hub.open(k, kind, &w.listener)
		}
	}
	for k, st := range w.streams {
		if !need[k] && !k.pods {
			delete(w.streams, k)
			w.hub.release(k, &w.listener)
		} else if !synced(ctx, st) {
			return ctx.Err()
		}
	}
	return nil
}

// dropPods closes the pod streams of namespaces where nothing waits any more.
func (w *watcher) dropPods() {
	waiting := map[string]bool{}
	for ref, said := range w.said {
		if said.Health == applier.InProgress || said.Health == applier.Stalled {
			waiting[ref.Namespace] = true
		}
	}
	for k := range w.streams {
		if k.pods && !waiting[k.namespace] {
			delete(w.streams, k)
			w.hub.release(k, &w.listener)
		}
	}
}

func isPod(ref applier.Ref) bool { return ref.Group == "" && ref.Kind == "Pod" }

func synced(ctx context.Context, st *stream) bool {
	select {
	case <-st.synced:
		return true
	case <-ctx.Done():
		return false
	}
}

// key names the stream that an object is in. Where only some namespaces may be
// read, a cluster-scoped object has a stream of its own.
func (w *watcher) key(kind cluster.Kind, ref applier.Ref) key {
	k := key{gvr: kind.GVR()}
	switch {
	case len(w.hub.Namespaces) == 0:
	case kind.Namespaced:
		k.namespace = ref.Namespace
	default:
		k.name = ref.Name
	}
	return k
}

func (w *watcher) kind(ctx context.Context, r Record) (cluster.Kind, error) {
	if why := desired.Outside(w.hub.Namespaces, r.Ref); why != "" {
		return cluster.Kind{}, errors.New(why)
	}
	gvk := schema.GroupVersionKind{Group: r.Ref.Group, Version: r.Ref.Version, Kind: r.Ref.Kind}
	kind, err := w.kinds.Any(ctx, gvk)
	if err != nil && r.Resource != "" {
		return cluster.Kind{GroupVersionKind: gvk, Resource: r.Resource, Namespaced: r.Ref.Namespace != ""}, nil
	}
	return kind, err
}
