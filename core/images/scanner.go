package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/sched"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the image scanner is closed")

// Scanner scans. See the package comment. It is safe for concurrent use.
type Scanner struct {
	opts  Options
	log   *slog.Logger
	table *sched.Timetable
	ended chan struct{} // closed by Close
	calls sync.WaitGroup

	mu       sync.Mutex
	settings Settings
	filter   filter
	subjects map[string]*subject
	repos    map[string]*repository
	seen     map[string]cache.Key   // by subject, what Scan saw last that is not scanned by itself
	pools    map[string]*sched.Pool // by host
	hosts    map[string]*HostMetrics
	closed   bool
}

// New returns a scanner without targets. The caller owes it a Close.
func New(o Options) (*Scanner, error) {
	if o.Credentials == nil || o.Client == nil || o.Cache == nil {
		return nil, errors.New("an image scanner needs credentials, a client and a cache")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(Change) {}
	}
	if o.Turned == nil {
		o.Turned = func([]Target) {}
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Spread == 0 {
		o.Spread = 30 * time.Second
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	s := &Scanner{
		opts: o, log: o.Logger, ended: make(chan struct{}),
		settings: o.Settings.withDefaults(), filter: newFilter(o.Settings),
		subjects: map[string]*subject{}, repos: map[string]*repository{}, seen: map[string]cache.Key{},
		pools: map[string]*sched.Pool{}, hosts: map[string]*HostMetrics{},
	}
	s.table = sched.NewTimetable(s.due, sched.TimetableOptions{
		Jitter: -1, Rand: o.Rand, Backoff: sched.Backoff{Min: 5 * time.Second, Max: 5 * time.Minute},
	})
	return s, nil
}

// Configure replaces the settings. It does not block.
func (s *Scanner) Configure(settings Settings) {
	settings = settings.withDefaults()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if reflect.DeepEqual(settings, s.settings) {
		return
	}
	paced := settings.Interval != s.settings.Interval
	s.settings, s.filter = settings, newFilter(settings)
	for _, sub := range s.subjects {
		s.arrange(sub, len(s.subjects))
	}
	for _, r := range s.repos {
		if paced && r.note.Failures == 0 && !r.note.Scanned.IsZero() {
			s.repace(r)
		}
		s.kick(r) // labels may be trusted now
	}
	s.retry()
}

// repace makes r due at the interval that counts now. s.mu is held.
func (s *Scanner) repace(r *repository) {
	r.note.Next = r.note.Scanned.Add(s.spreadOver(s.interval(r.note.Quiet)))
	s.plan(r, s.spread(len(s.repos)))
	if err := s.writeNote(r.key, r.note); err != nil {
		s.log.Warn("when a repository is due is not remembered", "repository", r.name(), "error", err)
	}
}

// SetTargets replaces what runs; it does not block. Targets of an applier that
// had none before are not taken for new ones: it has just been reached.
func (s *Scanner) SetTargets(targets []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	appliers := map[string]bool{}
	for _, sub := range s.subjects {
		appliers[sub.req.Consumer.Applier] = true
	}
	gone, next := maps.Clone(s.subjects), subjects(targets)
	for _, sub := range next {
		delete(gone, sub.id)
	}
	n := len(next) - (len(s.subjects) - len(gone)) // that are new
	for _, sub := range next {
		s.retarget(sub, appliers[sub.req.Consumer.Applier], max(n, 1))
	}
	for id, sub := range gone {
		delete(s.subjects, id)
		s.leave(sub)
	}
}

// retarget takes over the targets of next, one of n that are new. Those that
// were not there before bring a quiet repository back if live is set. s.mu is
// held.
func (s *Scanner) retarget(next *subject, live bool, n int) {
	sub := s.subjects[next.id]
	if sub == nil {
		sub = &subject{id: next.id, name: next.name, req: next.req}
		s.subjects[sub.id] = sub
	}
	before, now := wishes(sub.targets), wishes(next.targets)
	sub.targets = next.targets
	sub.fresh = sub.fresh || live && !subset(now, before)
	s.arrange(sub, n)
	if sub.repo == nil || maps.Equal(before, now) {
		return
	}
	if sub.fresh {
		sub.fresh = false
		s.snap(sub.repo)
	}
	s.kick(sub.repo)
}

// subset reports whether all of a is in b.
func subset(a, b map[wish]bool) bool {
	for w := range a {
		if !b[w] {
			return false
		}
	}
	return true
}

// Again makes the repositories whose canonical name matches the glob due, as
// after what was known of them was cleared from the cache. It does not block.
func (s *Scanner) Again(pattern string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var again []*repository
	for _, r := range s.repos {
		if (ref.Globs{pattern}).Match(r.name()) {
			again = append(again, r)
		}
	}
	for _, r := range again {
		r.note = note{}
		wait := s.spread(len(again))
		s.postpone(r, wait, wait)
	}
}

// Status tells of each repository that is scanned by itself, or just now for
// somebody, in the order of names.
func (s *Scanner) Status() []RepositoryStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []RepositoryStatus{}
	for _, r := range s.repos {
		if len(r.subjects) > 0 || r.flight != nil && r.flight.running {
			all = append(all, s.status(r))
		}
	}
	for _, sub := range s.subjects {
		if sub.repo == nil && sub.err != nil {
			all = append(all, s.stranded(sub))
		}
	}
	slices.SortFunc(all, func(a, b RepositoryStatus) int {
		if c := strings.Compare(a.Repository, b.Repository); c != 0 {
			return c
		}
		return strings.Compare(a.Credential, b.Credential)
	})
	return all
}

// status tells of r. s.mu is held.
func (s *Scanner) status(r *repository) RepositoryStatus {
	n := r.note
	st := RepositoryStatus{
		Repository: r.name(), Credential: r.key.Credential, Key: r.key, Tags: r.tags, Native: r.native,
		Scanned: n.Scanned, Changed: n.Changed, Interval: s.interval(n.Quiet), Scanning: r.flight != nil && r.flight.running,
		Missing: r.missing, Suspects: r.suspects, Failures: n.Failures, Failing: n.Failing, Problem: n.Problem, Error: n.Error, Warning: n.Warning,
	}
	if r.trouble != nil {
		st.Warning = r.trouble.Error()
	}
	st.Next = r.next()
	for _, sub := range r.subjects {
		st.Targets += len(sub.targets)
	}
	return st
}

// stranded tells of a subject whose credential is not known. s.mu is held.
func (s *Scanner) stranded(sub *subject) RepositoryStatus {
	st := RepositoryStatus{
		Repository: sub.name, Targets: len(sub.targets), Interval: s.settings.Interval,
		Failures: s.table.Failures(subjectKey(sub)), Problem: NoCredential, Error: sub.err.Error(),
	}
	st.Next, _ = s.table.Next(subjectKey(sub))
	return st
}

// Metrics returns figures for each host.
func (s *Scanner) Metrics() Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := Metrics{Hosts: map[string]HostMetrics{}}
	for host, h := range s.hosts {
		m.Hosts[host] = *h
	}
	for _, r := range s.repos {
		h := m.Hosts[r.key.Host]
		if len(r.subjects) > 0 {
			h.Repositories++
		}
		if fl := r.flight; fl != nil && !fl.running {
			h.Due++
			h.Lag = max(h.Lag, time.Since(fl.queued))
		}
		m.Hosts[r.key.Host] = h
	}
	return m
}

// metrics returns the figures of a host to be changed. s.mu is held.
func (s *Scanner) metrics(host string) *HostMetrics {
	if s.hosts[host] == nil {
		s.hosts[host] = &HostMetrics{}
	}
	return s.hosts[host]
}

// pool returns the workers of a host. s.mu is held.
func (s *Scanner) pool(host string) *sched.Pool {
	if s.pools[host] == nil {
		s.pools[host] = sched.NewPool(s.opts.Workers)
	}
	return s.pools[host]
}

// Close ends what is under way at once and waits for it, no longer than ctx
// allows. Scan and Resolve return ErrClosed then.
func (s *Scanner) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.ended)
	}
	pools := slices.Collect(maps.Values(s.pools))
	s.mu.Unlock()

	over := make(chan struct{})
	go func() {
		defer close(over)
		s.table.Close()
		at, cancel := context.WithCancel(context.Background())
		cancel()
		var wait sync.WaitGroup
		for _, p := range pools {
			wait.Go(func() { _ = p.Close(at) }) // it says that it had to cancel, as was asked
		}
		wait.Wait()
		s.calls.Wait()
	}()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the image scanner still waits for its scans: %w", context.Cause(ctx))
	}
}
