package resources

import (
	"slices"
	"strconv"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// facts are what a change of an object starts from.
type facts struct {
	version    string // resourceVersion
	finalizers []string
	deleting   bool
	cause      cause
}

// cause tells why an object is being deleted, beyond its own deletion.
type cause struct{ definition, namespace bool }

// memory holds the facts of objects that were seen lately, so that a change
// needs no look at the object first. They may be outdated: the API server is
// told the version they are of.
type memory struct {
	mu    sync.Mutex
	facts map[types.UID]facts
}

func newMemory() *memory { return &memory{facts: map[types.UID]facts{}} }

func factsOf(m metav1.Object, c cause) facts {
	return facts{version: m.GetResourceVersion(), finalizers: slices.Clone(m.GetFinalizers()), deleting: m.GetDeletionTimestamp() != nil, cause: c}
}

// put remembers what was seen of an object that is followed, unless something
// newer is known.
func (s *memory) put(uid types.UID, f facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number(s.facts[uid].version) <= number(f.version) {
		s.facts[uid] = f
	}
}

// renew is put for the answer to a change. What nobody follows is not
// remembered.
func (s *memory) renew(uid types.UID, f facts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, followed := s.facts[uid]; followed && number(known.version) <= number(f.version) {
		s.facts[uid] = f
	}
}

// doubt makes whatever is seen next count as newer.
func (s *memory) doubt(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, followed := s.facts[uid]; followed {
		f.version = ""
		s.facts[uid] = f
	}
}

func (s *memory) get(uid types.UID) (facts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, followed := s.facts[uid]
	return f, followed && f.version != ""
}

func (s *memory) drop(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.facts, uid)
}

// number reads a resourceVersion, which the API server promises to be an
// ascending number; 0 if it is not one.
func number(version string) uint64 {
	n, _ := strconv.ParseUint(version, 10, 64)
	return n
}
