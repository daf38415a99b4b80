package resources

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Sight is what can be seen of the resources of one target, as the Batches of its
// Follower tell. From the absence of what cannot be seen nothing follows. The zero
// Sight sees all. It is not safe for concurrent use.
type Sight struct {
	passing  map[string]bool   // ids seen in the first pass; nil: none is under way
	problems map[string]string // why objects cannot be seen, by kind and namespace
	lost     error             // why nothing can
}

// Take takes note of what b says as a whole.
func (s *Sight) Take(b Batch) {
	if b.Began {
		s.passing, s.problems = map[string]bool{}, map[string]string{}
	}
	s.lost = b.Lost
}

// Saw takes note that a resource exists, or does no more.
func (s *Sight) Saw(id string, exists bool) {
	if s.passing != nil {
		s.passing[id] = exists
	}
}

// Problem takes note of why the resources of a kind cannot be seen, in one
// namespace or, if that is empty, at all; "": they can be again.
func (s *Sight) Problem(kind applier.Ref, problem string) {
	if s.problems == nil {
		s.problems = map[string]string{}
	}
	if s.problems[key(kind, kind.Namespace)] = problem; problem == "" {
		delete(s.problems, key(kind, kind.Namespace))
	}
}

func key(ref applier.Ref, namespace string) string {
	return ref.Group + "/" + ref.Kind + " " + namespace
}

// Passing reports whether the first pass is under way: what it has not shown as
// yet may exist.
func (s *Sight) Passing() bool { return s.passing != nil }

// Passed ends the first pass.
func (s *Sight) Passed() { s.passing = nil }

// Missed reports whether a resource was not in the first pass, all of which was
// seen, though it would have been if it existed.
func (s *Sight) Missed(id string, ref applier.Ref) bool { return !s.passing[id] && !s.Blind(ref) }

// Blind reports whether resources like ref cannot be seen.
func (s *Sight) Blind(ref applier.Ref) bool {
	return s.problems[key(ref, "")] != "" || s.problems[key(ref, ref.Namespace)] != ""
}

// Lacks says what cannot be seen, and why, in order.
func (s *Sight) Lacks() []string {
	var list []string
	if s.lost != nil {
		list = append(list, "custom resources cannot be seen: "+oneLine(s.lost))
	}
	for _, what := range slices.Sorted(maps.Keys(s.problems)) {
		list = append(list, strings.TrimSpace(what)+" cannot be seen: "+s.problems[what])
	}
	return list
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
