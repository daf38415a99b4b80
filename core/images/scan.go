package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/sched"
)

const (
	// asking is how many questions for credentials Scan asks at once.
	asking = 8
	// moves is how many times Scan follows a credential that changes.
	moves = 3
)

// Scan lists the repositories of targets now, each once, and reads what their
// policies need; it waits until all are done or ctx ends. It joins what is
// under way, and goes before what is due. Targets need not be among those of
// SetTargets. progress, which may be nil, gets each result as it comes, one
// after the other. Results are in the order of repositories.
func (s *Scanner) Scan(ctx context.Context, targets []Target, progress func(Result)) []Result {
	ctx, end, err := s.enter(ctx)
	if err != nil {
		return []Result{{Targets: targets, Err: err}}
	}
	defer end()
	groups, results := s.identifyAll(ctx, subjects(targets))
	var mu sync.Mutex
	tell := func(r Result) {
		mu.Lock()
		defer mu.Unlock()
		results = append(results, r)
		if progress != nil {
			progress(r)
		}
	}
	if progress != nil {
		for _, r := range results {
			progress(r)
		}
	}
	var scans sync.WaitGroup
	for key, subs := range groups {
		scans.Go(func() { tell(s.scan(ctx, key, subs)) })
	}
	scans.Wait()
	slices.SortStableFunc(results, func(a, b Result) int { return strings.Compare(a.Repository, b.Repository) })
	return results
}

// enter bounds ctx by the life of the scanner, which waits for the caller
// until it calls end.
func (s *Scanner) enter(ctx context.Context) (_ context.Context, end func(), _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	s.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.ended:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-watched
		s.calls.Done()
	}, nil
}

// identifyAll groups subs by the repositories that they see. What may not be
// asked about, or has no credential, is a result already.
func (s *Scanner) identifyAll(ctx context.Context, subs []*subject) (map[cache.Key][]*subject, []Result) {
	groups := map[cache.Key][]*subject{}
	var results []Result
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, asking)
	for _, sub := range subs {
		s.mu.Lock()
		skipped := s.filter.refuses(sub.name)
		s.mu.Unlock()
		if skipped != "" {
			results = append(results, Result{Repository: sub.name, Targets: sub.targets, Skipped: skipped})
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			key, err := s.follow(ctx, sub)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				results = append(results, Result{Repository: sub.name, Targets: sub.targets, Err: err})
				return
			}
			groups[key] = append(groups[key], sub)
		})
	}
	wait.Wait()
	return groups, results
}

// keyOf asks for the credential of sub and returns what it sees with it.
func (s *Scanner) keyOf(ctx context.Context, sub *subject) (cache.Key, error) {
	cred, err := s.opts.Credentials.Credential(ctx, sub.req)
	if ctx.Err() != nil {
		return cache.Key{}, context.Cause(ctx)
	}
	if err != nil {
		return cache.Key{}, plain(err, sub.name)
	}
	return cache.Key{Host: sub.req.Host, Repository: sub.req.Repository, Credential: cred.ID}, nil
}

// follow is keyOf for who asked for a scan: what comes of it holds for the
// target that is scanned without being asked for, too, if that is alike. So
// everybody sees what was just scanned.
func (s *Scanner) follow(ctx context.Context, sub *subject) (cache.Key, error) {
	key, err := s.keyOf(ctx, sub)
	if ctx.Err() != nil {
		return key, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	scanned := s.subjects[sub.id]
	switch {
	case s.closed:
	case scanned == nil || scanned.skipped != "":
		if err == nil {
			s.saw(sub, key)
		}
	case err != nil:
		scanned.err = err
	default:
		s.place(scanned, key.Credential)
	}
	return key, err
}

// maxSeen bounds the targets that are remembered beside those of SetTargets.
const maxSeen = 10_000

// saw remembers what sub sees, so that it can be shown while there is no
// credential. s.mu is held.
func (s *Scanner) saw(sub *subject, key cache.Key) {
	if len(s.seen) >= maxSeen {
		clear(s.seen)
	}
	s.seen[sub.id] = key
}

// scan scans one repository for subs and waits for it.
func (s *Scanner) scan(ctx context.Context, key cache.Key, subs []*subject) Result {
	res := Result{Repository: key.String(), Targets: targetsOf(subs)}
	for range moves {
		fl, r := s.request(key, subs)
		if fl == nil {
			res.Err = ErrClosed
			return res
		}
		select {
		case <-fl.done:
		case <-ctx.Done():
			res.Err = s.late(ctx, r)
			return res
		}
		if !errors.Is(fl.err, errMoved) {
			s.mu.Lock()
			res.Tags = r.tags
			s.mu.Unlock()
			res.New, res.Missing, res.Err = fl.fresh, fl.fetched.missing, plain(cmp.Or(fl.err, fl.fetched.err), key.String())
			return res
		}
		next, err := s.follow(ctx, subs[0])
		if err != nil {
			res.Err = err
			return res
		}
		key = next
	}
	res.Err = errMoved
	return res
}

// late is the error for who does not wait for the end of a scan of r, which goes
// on without them.
func (s *Scanner) late(ctx context.Context, r *repository) error {
	s.mu.Lock()
	n := r.note
	s.mu.Unlock()
	err := context.Cause(ctx)
	if n.Failures == 0 || errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w; when it was asked last, at %s: %s", err, n.FailedAt.UTC().Format(time.RFC3339), n.Error)
}

// request asks for a scan ahead of others, or joins one.
func (s *Scanner) request(key cache.Key, subs []*subject) (*flight, *repository) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil
	}
	r := s.repository(key)
	fl := s.begin(r, sched.Interactive, true)
	maps.Copy(fl.guests, guests(subs))
	return fl, r
}

func guests(subs []*subject) map[string]*subject {
	set := map[string]*subject{}
	for _, sub := range subs {
		set[sub.id] = sub
	}
	return set
}
