package images

import (
	"slices"
	"time"
)

// UnderWay reports whether a scan that was asked for before a time has not
// ended. It does not block.
func (s *Scanner) UnderWay(before time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos {
		if r.flight != nil && r.flight.queued.Before(before) {
			return true
		}
	}
	return false
}

// Awaited counts the repositories that are scanned for a target that matches and
// of which nothing is known yet: they have not been listed, nor failed. It does
// not block.
func (s *Scanner) Awaited(match func(Target) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, sub := range s.subjects {
		if sub.awaited() && slices.ContainsFunc(sub.targets, match) {
			n++
		}
	}
	return n
}

// awaited reports whether the first scan for sub is still to come. Scanner.mu is
// held.
func (sub *subject) awaited() bool {
	switch r := sub.repo; {
	case sub.skipped != "" || sub.err != nil:
		return false
	case r == nil:
		return true
	default:
		return r.note.Scanned.IsZero() && r.note.Failures == 0 && r.tags == 0
	}
}
