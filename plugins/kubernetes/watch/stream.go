package watch

import (
	"context"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	pageSize     = 250
	firstPause   = 250 * time.Millisecond // before the server is asked again
	longestPause = 30 * time.Second
	goodRun      = 5 * time.Second // a watch that lived this long was a good one
)

// entry is what a stream keeps of an object: little, since there are many.
type entry struct {
	uid     string
	member  string // id of its ApplySet
	owned   string // hash of our managedFields entry
	version uint64 // resourceVersion
	status  status
	pod     *podFacts // of a pod
}

// source lists and watches one kind, in one namespace or all.
type source struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (kwatch.Interface, error)
	keep  func(metav1.Object) entry
	ref   func(metav1.Object) applier.Ref
	label string // selector
	field string // selector
}

// stream keeps the entries of one source equal to the cluster, and tells its
// listeners which objects changed. It survives the end of watches, expired
// versions and restarts of the API server.
type stream struct {
	source
	mu        sync.Mutex
	entries   map[applier.Ref]entry
	listeners map[*listener]bool
	version   uint64        // how far the stream has come
	problem   string        // why there is nothing to see yet
	synced    chan struct{} // closed when the first list is there, or failed
	first     sync.Once

	cancel context.CancelFunc
	done   chan struct{}
}

// listener hears of changes. touched must not block.
type listener struct {
	touched func(ref applier.Ref, before, now entry)
}

func newStream(s source) *stream {
	return &stream{source: s, entries: map[applier.Ref]entry{}, listeners: map[*listener]bool{}, synced: make(chan struct{}), done: make(chan struct{})}
}

func (s *stream) start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	go func() {
		defer close(s.done)
		s.run(ctx)
	}()
}

func (s *stream) stop() {
	s.cancel()
	<-s.done
}

func (s *stream) run(ctx context.Context) {
	defer func() { s.settle(context.Cause(ctx)) }() // nobody waits for a stream that has ended
	version, pause := "", firstPause
	for ctx.Err() == nil {
		began := time.Now()
		version = s.round(ctx, version)
		if time.Since(began) > goodRun {
			pause = firstPause
		}
		wait(ctx, pause-rand.N(pause/4))
		pause = min(longestPause, 2*pause)
	}
}

// round lists if there is no version to go on from, then watches until the
// watch ends. It returns the version to go on from.
func (s *stream) round(ctx context.Context, version string) string {
	if version == "" {
		listed, err := s.relist(ctx)
		s.settle(err)
		if err != nil {
			return ""
		}
		version = listed
	}
	w, err := s.watch(ctx, metav1.ListOptions{LabelSelector: s.label, FieldSelector: s.field, ResourceVersion: version, AllowWatchBookmarks: true})
	if err != nil {
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsNotFound(err) {
			return ""
		}
		return version
	}
	defer w.Stop()
	return s.follow(ctx, w, version)
}

func (s *stream) settle(err error) {
	s.mu.Lock()
	switch {
	case err == nil:
		s.problem = ""
	case apierrors.IsNotFound(err):
		s.problem = "" // the kind is not served, so there are no objects of it
	default:
		s.problem = err.Error()
	}
	s.mu.Unlock()
	s.first.Do(func() { close(s.synced) })
}

// relist reads everything, and drops what is not there any more.
func (s *stream) relist(ctx context.Context) (string, error) {
	fresh := map[applier.Ref]entry{}
	o := metav1.ListOptions{LabelSelector: s.label, FieldSelector: s.field, Limit: pageSize}
	for {
		page, err := s.list(ctx, o)
		if err != nil {
			return "", err
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return "", err
		}
		if err := meta.EachListItem(page, func(obj runtime.Object) error {
			m, err := meta.Accessor(obj)
			if err == nil {
				fresh[s.ref(m)] = s.keep(m)
			}
			return err
		}); err != nil {
			return "", err
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			s.replace(fresh, list.GetResourceVersion())
			return list.GetResourceVersion(), nil
		}
	}
}

func (s *stream) replace(fresh map[applier.Ref]entry, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.entries
	s.entries, s.version = fresh, number(version)
	for ref, e := range fresh {
		s.tell(ref, before[ref], e)
	}
	for ref, e := range before {
		if _, there := fresh[ref]; !there {
			s.tell(ref, e, entry{})
		}
	}
}

func (s *stream) follow(ctx context.Context, w kwatch.Interface, version string) string {
	for {
		select {
		case <-ctx.Done():
			return version
		case event, open := <-w.ResultChan():
			switch {
			case !open:
				return version
			case event.Type == kwatch.Error:
				return "" // the version is too old, or something that a new list clears up
			}
			if m, err := meta.Accessor(event.Object); err == nil {
				version = m.GetResourceVersion()
				s.see(event.Type, m)
			}
		}
	}
}

func (s *stream) see(kind kwatch.EventType, m metav1.Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = number(m.GetResourceVersion())
	ref := s.ref(m)
	before := s.entries[ref]
	switch kind {
	case kwatch.Added, kwatch.Modified:
		now := s.keep(m)
		s.entries[ref] = now
		s.tell(ref, before, now)
	case kwatch.Deleted:
		delete(s.entries, ref)
		s.tell(ref, before, entry{})
	}
}

func (s *stream) tell(ref applier.Ref, before, now entry) {
	for l := range s.listeners {
		l.touched(ref, before, now)
	}
}

// get returns an object's entry, how far the stream has come, and why it
// cannot say.
func (s *stream) get(ref applier.Ref) (e entry, version uint64, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[ref], s.version, s.problem
}

func (s *stream) all() map[applier.Ref]entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.entries)
}

func (s *stream) listen(l *listener, on bool) (left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.listeners[l] = true
	} else {
		delete(s.listeners, l)
	}
	return len(s.listeners)
}

// number reads a resourceVersion, which the API server promises to be an
// ascending number; 0 if it is not one.
func number(version string) uint64 {
	n, _ := strconv.ParseUint(version, 10, 64)
	return n
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
