package images

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
)

// errMoved says that nobody is left whose credential sees this repository, or
// that the credential changed while it was listed.
var errMoved = errors.New("the credential has changed since")

// afterMove is when to look again who sees the repository.
const afterMove = 5 * time.Second

// flight is one scan: a listing, unless only images are missing, and then the
// images that policies need, in portions. Scanner.mu guards it, except for what
// only its job touches.
type flight struct {
	guests   map[string]*subject // who asked for it beside those of the settings
	priority sched.Priority
	queued   time.Time
	running  bool
	well     bool // the listing has ended a time of failures
	list     bool // a listing is to be made
	listing  bool // and is under way
	look     bool // what has to be read is to be looked for
	retry    bool // what it needs has changed since: a failure proves little
	done     chan struct{}

	// Touched by the job alone until done is closed:

	err     error  // why the listing failed
	listed  bool   // a listing was made
	news    bool   // with news
	change  Change // what was not announced yet
	fresh   int    // new tags that were
	fetched fetched
}

// begin starts a scan of r, or joins the one that is under way: a listing that
// has not ended counts for everybody who wants one. s.mu is held.
func (s *Scanner) begin(r *repository, p sched.Priority, list bool) *flight {
	fl := r.flight
	if fl == nil {
		fl = &flight{queued: time.Now(), done: make(chan struct{}), guests: map[string]*subject{}}
		r.flight = fl
	}
	fl.look = true
	fl.priority = max(fl.priority, p)
	if list && !fl.listing {
		fl.list = true
	}
	if !fl.running {
		s.submit(r)
	}
	return fl
}

func (s *Scanner) submit(r *repository) {
	s.pool(r.key.Host).Submit(repositoryKey(r.key), r.flight.priority, func(ctx context.Context) { s.work(ctx, r) })
}

// work does the next step of r's flight, and ends it or asks to go on.
func (s *Scanner) work(ctx context.Context, r *repository) {
	fl, list, look := s.step(r)
	if fl == nil {
		return
	}
	more := false
	if list {
		fl.err = s.list(ctx, r, fl)
		s.mu.Lock()
		fl.listing = false
		s.mu.Unlock()
	}
	if fl.err == nil {
		more = s.fetch(ctx, r, fl, look)
	}
	if ctx.Err() != nil {
		return // closing
	}
	if !more {
		s.announce(r, fl)
	}
	if turned := s.land(r, fl, more); len(turned) > 0 {
		s.opts.Turned(turned)
	}
}

// land ends the flight of r, or has it go on. It returns for whom r fails from
// now on, or does not any more.
func (s *Scanner) land(r *repository, fl *flight, more bool) (turned []Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fl.running = false
	if (more || fl.list || fl.look) && fl.err == nil {
		s.submit(r)
		return nil
	}
	before := r.note.Failures
	s.settle(r, fl)
	if fl.well || before < lasting && r.note.Failures >= lasting {
		turned = targetsOf(r.parties())
	}
	r.flight = nil
	s.discard(r)
	close(fl.done)
	return turned
}

// step returns the flight of r, whether to list first, and whether to look
// for what has to be read.
func (s *Scanner) step(r *repository) (fl *flight, list, look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl = r.flight; fl == nil || s.closed {
		return nil, false, false
	}
	list, look = fl.list, fl.look
	fl.list, fl.look = false, false
	fl.listing, fl.running = list, true
	return fl, list, look
}

// announce tells what the flight has brought.
func (s *Scanner) announce(r *repository, fl *flight) {
	c := &fl.change
	c.Resolved = fl.fetched.olderThan(c.New)
	c.Moved = append(c.Moved, fl.fetched.moved...)
	if !c.First && len(c.New)+len(c.Moved)+len(c.Vanished)+len(c.Resolved) == 0 {
		return
	}
	s.mu.Lock()
	c.Targets = targetsOf(r.parties())
	s.mu.Unlock()
	c.Repository, c.Key, c.At, c.Missing = r.name(), r.key, time.Now(), fl.fetched.missing
	s.opts.Changed(*c)
	fl.fresh += len(c.New)
	fl.change, fl.fetched.resolved, fl.fetched.moved = Change{}, nil, nil
}

// settle decides when r is due again. s.mu is held.
func (s *Scanner) settle(r *repository, fl *flight) {
	n := &r.note
	wait := max(time.Until(r.listAt), 0)
	switch {
	case errors.Is(fl.err, errMoved):
		s.postpone(r, afterMove, afterMove)
		return
	case fl.err != nil:
		wait = s.failed(r, fl)
		if fl.retry {
			wait = s.spread(1)
		}
		s.postpone(r, wait, s.glance(r, wait))
	default:
		if fl.listed {
			wait = s.spreadOver(s.interval(n.Quiet))
		}
		s.postpone(r, wait, s.readAgain(r, fl, wait))
	}
	n.Next = time.Now().Add(wait)
	if err := s.writeNote(r.key, *n); err != nil {
		s.log.Warn("a scan is not remembered", "repository", r.name(), "error", err)
	}
}

// failed notes why r was not listed and returns when to try again. Who asks
// again and again whether it is well now does not make that later. s.mu is held.
func (s *Scanner) failed(r *repository, fl *flight) time.Duration {
	s.metrics(r.key.Host).Failures++
	n, err := &r.note, plain(fl.err, r.name())
	if n.Failures == 0 || fl.priority != sched.Interactive {
		n.Failures++
	}
	n.Problem, n.Error, n.FailedAt = kindOf(err), bounded(err.Error()), time.Now()
	wait := s.retryAfter(err, n.Failures)
	level := slog.LevelWarn
	if n.Failing.IsZero() {
		n.Failing = n.FailedAt
	} else {
		level = slog.LevelDebug // it was said
	}
	s.log.Log(context.Background(), level, "a scan failed", "repository", r.name(), "problem", n.Problem, "retry_in", wait, "error", err)
	return wait
}

// readAgain returns when to read the images that could not be read, if that is
// before the next listing, which is due after wait. s.mu is held.
func (s *Scanner) readAgain(r *repository, fl *flight, wait time.Duration) time.Duration {
	f := &fl.fetched
	r.missing, r.trouble = f.missing, plain(f.err, r.name())
	if f.err == nil {
		r.troubles = 0
	} else {
		r.troubles++
		f.retry = s.retryAfter(f.err, r.troubles)
	}
	if f.missing == 0 {
		return wait
	}
	return min(wait, max(f.retry, 15*time.Second))
}
