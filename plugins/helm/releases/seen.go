package releases

import (
	"context"
	"fmt"
	"sync"
	"time"

	releasecommon "helm.sh/helm/v4/pkg/release/common"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// mostSeen objects are remembered, of all releases together.
const mostSeen = 100_000

// sight is what a comparison has found: the objects that were as the release
// says, in the state that they were in.
type sight struct {
	record types.UID // of the revision
	ignore string    // what was left out
	states map[place]state
	whole  bool      // nothing of the release is missing in states
	at     time.Time // when the comparison ended
	used   time.Time
}

// sights are the last ones of all releases, within limits. They are safe for
// concurrent use.
type sights struct {
	mu      sync.Mutex
	of      map[helm.ReleaseRef]*sight
	objects int
}

// last returns what the last comparison with the same things to ignore found,
// nil if there is nothing to go by. It must not be changed.
func (s *sights) last(c helm.Comparison) *sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.of[c.Ref]
	if got == nil || c.Fresh || got.ignore != leavingOut(c) {
		return nil
	}
	got.used = time.Now()
	return got
}

// keep remembers a sight, and forgets those of releases that nobody has asked
// about for longest, if there are too many.
func (s *sights) keep(ref helm.ReleaseRef, got *sight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(ref)
	if len(got.states) > mostSeen {
		return
	}
	got.at, got.used = time.Now(), time.Now()
	s.of[ref] = got
	for s.objects += len(got.states); s.objects > mostSeen; {
		oldest := ref
		for other, has := range s.of {
			if has.used.Before(s.of[oldest].used) {
				oldest = other
			}
		}
		s.drop(oldest)
	}
}

// forget is for a release that is about to change, or has.
func (s *sights) forget(ref helm.ReleaseRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(ref)
}

func (s *sights) drop(ref helm.ReleaseRef) {
	if had := s.of[ref]; had != nil {
		s.objects -= len(had.states)
		delete(s.of, ref)
	}
}

// leavingOut tells apart comparisons that leave out different things.
func leavingOut(c helm.Comparison) string {
	return fmt.Sprintf("%q", c.Ignore)
}

// unchanged are the objects of a sight that the shared listings show as they
// were; all tells that the release has no others, and is still the same.
func (s *session) unchanged(ctx context.Context, ref helm.ReleaseRef, seen *sight) (same map[place]state, all bool, err error) {
	if seen == nil {
		return nil, false, nil
	}
	newest, err := s.head(ctx, ref, seen.at)
	if err != nil || newest.uid != seen.record || newest.Status != releasecommon.StatusDeployed.String() {
		return nil, false, err
	}
	listed := map[schema.GroupVersionResource]map[types.NamespacedName]state{}
	same = map[place]state{}
	for where, was := range seen.states {
		if _, asked := listed[where.resource]; !asked {
			now, err := s.objects.of(ctx, where.resource, seen.at)
			if cause := context.Cause(ctx); err != nil && cause != nil {
				return nil, false, cause
			}
			listed[where.resource] = now // nil if it cannot be listed: each is looked at by itself
		}
		if was.same(listed[where.resource][where.NamespacedName]) {
			same[where] = was
		}
	}
	return same, seen.whole && len(same) == len(seen.states), nil
}

// head of the newest revision of a release as it was a short time ago, and
// after since.
func (s *session) head(ctx context.Context, ref helm.ReleaseRef, since time.Time) (head, error) {
	all, err := s.newest.get(ctx, since, func(ctx context.Context) (map[helm.ReleaseRef]head, error) { return s.heads(ctx, s.namespaces()) })
	if err == nil {
		return all[ref], nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return head{}, cause
	}
	own, err := s.revisions(ctx, ref) // of the whole cluster they may not be listed
	if err != nil || len(own) == 0 {
		return head{}, err
	}
	return own[0], nil
}
