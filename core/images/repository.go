package images

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/sched"
)

const (
	// decay is how much longer the interval gets with each scan without news,
	// up to maxDecay times.
	decay    = 1.5
	maxDecay = 8
	// jitter spreads intervals by so much to either side.
	jitter = 0.1
)

// repository is a repository as one credential sees it. Scanner.mu guards it.
type repository struct {
	key      cache.Key
	subjects map[string]*subject // that are scanned with it
	note     note
	tags     int       // in the listing that counts
	suspects int       // of them
	native   bool      // that listing
	missing  int       // images that policies need, as of the last flight
	trouble  error     // why they could not be read
	troubles int       // times in a row
	listAt   time.Time // when a listing is due, with its monotonic reading
	tried    *secrets  // what the last listing was tried with; nil: not known
	flight   *flight   // nil: nothing is under way

	// Nothing has to be read for what was needed as long as there is no news,
	// until then; an empty text is none.
	satisfied string
	until     time.Time
}

// note is what the cache remembers of a repository beside its listing.
type note struct {
	Scanned  time.Time  `json:"scanned,omitzero"` // the last complete listing
	Swept    time.Time  `json:"swept,omitzero"`   // the last one that did not stop at what was known
	Changed  time.Time  `json:"changed,omitzero"`
	Next     time.Time  `json:"next,omitzero"`
	Quiet    int        `json:"quiet,omitempty"`    // scans without news in a row
	Failures int        `json:"failures,omitempty"` // in a row
	Failing  time.Time  `json:"failing,omitzero"`   // since when
	Problem  Problem    `json:"problem,omitempty"`
	Error    string     `json:"error,omitempty"`
	FailedAt time.Time  `json:"failed_at,omitzero"`
	Warning  string     `json:"warning,omitempty"`
	Suspects *suspects  `json:"suspects,omitempty"`
	Vanished []Vanished `json:"vanished,omitempty"`
}

// readNote returns the note of k; one that cannot be read is as good as none.
func (s *Scanner) readNote(k cache.Key) note {
	var n note
	data, ok := s.opts.Cache.Note(k)
	if ok && json.Unmarshal(data, &n) != nil {
		return note{}
	}
	return n
}

func (s *Scanner) writeNote(k cache.Key, n note) error {
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("image cache: %w", err)
	}
	return s.opts.Cache.PutNote(k, data)
}

// repository returns the one with the key, and reads it from the cache if
// nobody has asked for it before. s.mu is held.
func (s *Scanner) repository(k cache.Key) *repository {
	if r := s.repos[repositoryKey(k)]; r != nil {
		return r
	}
	r := &repository{key: k, subjects: map[string]*subject{}, note: s.readNote(k)}
	if l, ok := s.opts.Cache.Listing(k); ok {
		r.tags, r.native, r.suspects = len(l.Tags), l.Native, len(r.note.Suspects.names(l.Tags))
	} else {
		r.note = note{} // the cache was cleared, or has no room
	}
	s.repos[repositoryKey(k)] = r
	return r
}

// discard forgets r if nobody is interested in it. s.mu is held.
func (s *Scanner) discard(r *repository) {
	if len(r.subjects) > 0 {
		return
	}
	s.table.Remove(repositoryKey(r.key))
	if r.flight == nil {
		delete(s.repos, repositoryKey(r.key))
	}
}

// name is the canonical name of r.
func (r *repository) name() string { return r.key.String() }

// parties returns who r is scanned for: those of the settings and those who
// asked for it, in a fixed order. s.mu is held.
func (r *repository) parties() []*subject {
	all := maps.Clone(r.subjects)
	if r.flight != nil {
		for id, sub := range r.flight.guests {
			if all[id] == nil {
				all[id] = sub
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *subject) int { return strings.Compare(a.id, b.id) })
}

// targetsOf returns all targets of subs.
func targetsOf(subs []*subject) []Target {
	var targets []Target
	for _, sub := range subs {
		targets = append(targets, sub.targets...)
	}
	return targets
}

// interval is the time between scans of a repository that was quiet for so
// many of them.
func (s *Scanner) interval(quiet int) time.Duration {
	factor := math.Min(math.Pow(decay, float64(quiet)), maxDecay)
	return time.Duration(float64(s.settings.Interval) * factor)
}

// spreadOver returns d with jitter.
func (s *Scanner) spreadOver(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*s.opts.Rand()-1)))
}

// spread returns when to begin with one of n that are new or overdue.
func (s *Scanner) spread(n int) time.Duration {
	const each = 100 * time.Millisecond
	within := min(s.opts.Spread, s.settings.Interval, time.Duration(n)*each)
	return time.Duration(s.opts.Rand() * float64(max(within, 0)))
}

// plan makes r due when its note says, or after late if that is over. A time
// that is further away than any scan is planned, as after the clock was set
// back, does not count. s.mu is held.
func (s *Scanner) plan(r *repository, late time.Duration) {
	longest := s.interval(r.note.Quiet)
	if r.note.Failures > 0 {
		longest = max(longest, maxRetry)
	}
	wait := min(time.Until(r.note.Next), time.Duration(float64(longest)*(1+jitter)))
	if wait <= 0 {
		wait = late
	}
	s.postpone(r, wait, s.glance(r, wait))
}

// postpone makes a listing of r due after list, and r itself after next, which
// is sooner if images have to be read, or credentials looked at, before. s.mu is
// held.
func (s *Scanner) postpone(r *repository, list, next time.Duration) {
	r.listAt = time.Now().Add(list)
	if len(r.subjects) == 0 {
		return
	}
	key := repositoryKey(r.key)
	s.table.Set(key, next, 0)
	s.table.Postpone(key, next)
}

// next returns when a listing of r is due, zero if none is planned. s.mu is held.
func (r *repository) next() time.Time {
	if len(r.subjects) == 0 {
		return time.Time{}
	}
	return r.listAt
}

// snap brings a quiet r back to its interval. s.mu is held.
func (s *Scanner) snap(r *repository) {
	if r.note.Quiet == 0 || r.note.Failures > 0 {
		return
	}
	r.note.Quiet = 0
	wait := min(time.Until(r.listAt), time.Until(r.note.Scanned.Add(s.spreadOver(s.settings.Interval))))
	s.postpone(r, max(wait, 0), max(wait, 0))
}

// kick lets the images be read that policies need, without a listing. s.mu is
// held.
func (s *Scanner) kick(r *repository) {
	if r.note.Scanned.IsZero() || r.note.Failures > 0 || !needsMore(targetsOf(r.parties())) {
		return
	}
	s.begin(r, sched.Interval, false)
}
