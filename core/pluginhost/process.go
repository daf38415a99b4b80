package pluginhost

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
)

// State is what a plugin's process is doing.
type State string

const (
	Stopped  State = "stopped"  // nobody needs it
	Starting State = "starting" //
	Ready    State = "ready"    //
	Draining State = "draining" // being stopped
	Backoff  State = "backoff"  // it ended or could not be started; it will be tried again
)

// process supervises one plugin: at most one session at a time, on demand.
//
//	stopped -> starting -> ready -> draining -> stopped
//	              ^  |       |
//	              |  v       v
//	             backoff <---+
type process struct {
	h       *Host
	c       *candidate
	log     *slog.Logger
	poke    chan struct{} // something changed that the supervisor decides on
	stopped chan struct{} // closed when the supervisor has returned

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced with each change of what follows
	state     State
	since     time.Time
	version   string   // of the plugin that runs or ran last
	session   *session // only while ready
	waiters   int      // calls that wait for a session
	keep      bool     // it ended by accident: bring the instances back unasked
	closing   bool
	instances map[*Instance]bool
	failures  int   // failed starts, ever
	trouble   error // why it is in back-off
	restarts  int
	lastExit  *Exit // by accident
	retryAt   time.Time

	helpers sync.WaitGroup // goroutines that end with the session
}

func newProcess(h *Host, c *candidate) *process {
	p := &process{
		h: h, c: c, log: h.log.With("plugin", c.name),
		poke: make(chan struct{}, 1), stopped: make(chan struct{}), changed: make(chan struct{}),
		state: Stopped, since: time.Now(), version: c.description.Version, instances: map[*Instance]bool{},
	}
	go p.supervise(h.ctx)
	return p
}

// supervise starts the process when it is needed and sees it through, again
// and again, until ctx ends. It owns the state.
func (p *process) supervise(ctx context.Context) {
	defer close(p.stopped)
	defer p.helpers.Wait()
	tm := p.h.timing
	pauses := backoff{min: tm.backoffMin, max: tm.backoffMax, reset: tm.backoffReset}
	for p.awaitNeed(ctx) {
		p.enter(Starting)
		s, err := p.start(ctx)
		var d time.Duration
		switch {
		case err != nil && ctx.Err() != nil:
			continue
		case err != nil:
			p.startFailed(err)
			d = pauses.next(0)
		default:
			p.ready(s)
			if !p.watch(ctx, s) {
				continue
			}
			if d = pauses.min; !p.duringCall(s) {
				d = pauses.next(time.Since(s.started))
			}
		}
		p.pause(ctx, d)
	}
	p.enter(Stopped)
}

// awaitNeed blocks until the process is needed. It returns false when ctx ends.
func (p *process) awaitNeed(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		needed := p.waiters > 0 || p.keep && len(p.instances) > 0
		if !needed && p.state != Stopped {
			p.set(Stopped)
		}
		p.mu.Unlock()
		if needed {
			return true
		}
		select {
		case <-p.poke:
		case <-ctx.Done():
		}
	}
	return false
}

// pause waits out a back-off.
func (p *process) pause(ctx context.Context, d time.Duration) {
	p.mu.Lock()
	p.retryAt = time.Now().Add(d)
	p.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch sees a session through to its end, and reports whether that was an
// accident.
func (p *process) watch(ctx context.Context, s *session) (accident bool) {
	health := time.NewTicker(p.h.timing.healthEvery)
	defer health.Stop()
	idle := time.NewTicker(p.idleCheck())
	defer idle.Stop()
	misses := 0
	for {
		select {
		case <-s.run.exited:
			p.ended(s)
			return true
		case <-ctx.Done():
			p.retire(s, true)
			return false
		case <-p.poke:
			if p.retire(s, false) {
				return false
			}
		case <-idle.C:
			if p.retire(s, false) {
				return false
			}
		case <-health.C:
			if misses++; s.answers() {
				misses = 0
			}
			if misses >= p.h.timing.healthMisses {
				s.stop(fmt.Sprintf("it did not answer %d health checks and was killed", misses), false)
				p.ended(s)
				return true
			}
		}
	}
}

// idleCheck is how often to look whether the process is still needed.
func (p *process) idleCheck() time.Duration {
	d := p.h.timing.linger
	if idle := p.idleStop(); idle > 0 {
		d = min(d, idle)
	}
	return max(d/4, time.Millisecond)
}

// idleStop is how long the process may be idle with open instances; 0: as long
// as it likes.
func (p *process) idleStop() time.Duration { return cmp.Or(p.c.idleStop, p.h.o.IdleStop) }

// rare reports whether the process is needed only now and then: renderers are
// called when a source has news. The caller holds the lock.
func (p *process) rare() bool {
	for i := range p.instances {
		if i.kind != client.KindRenderer {
			return false
		}
	}
	return len(p.instances) > 0
}

// duringCall tells whether s ended while it was called. If so, the pauses grow
// for the instances that were called (see Instance.blame), not for all.
func (p *process) duringCall(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.inflight > 0 || s.blamed
}

// ready lets calls through, and opens again what was open before an accident.
func (p *process) ready(s *session) {
	p.mu.Lock()
	s.lastUse = time.Now()
	p.session, p.version = s, s.version
	var reopen []*Instance
	if p.keep {
		p.restarts++
		for i := range p.instances {
			reopen = append(reopen, i)
		}
	}
	p.keep = false
	p.set(Ready)
	p.mu.Unlock()
	p.log.Info("plugin is ready", "pid", s.run.pid, "version", s.version, "took", time.Since(s.started))
	if len(reopen) > 0 {
		p.helpers.Go(func() { s.reopen(reopen) })
	}
}

// ended records that the process is gone, though nobody wanted that.
func (p *process) ended(s *session) {
	s.stop("", true)
	exit := s.exit()
	p.mu.Lock()
	p.session, p.keep, p.lastExit = nil, true, &exit
	p.trouble = fmt.Errorf("it ended: %s%s", exit, wordsOf(exit))
	p.set(Backoff)
	p.mu.Unlock()
	p.log.Warn("plugin ended", "pid", exit.PID, "exit", exit.String(), "last_output", exit.lastWords())
}

// retire stops a session that is not needed: its instances are gone, or it was
// not called for a while. With force it does so in any case.
func (p *process) retire(s *session, force bool) bool {
	p.mu.Lock()
	quiet := time.Since(s.lastUse)
	idle := p.idleStop()
	if idle == 0 && p.rare() {
		idle = p.h.timing.rare
	}
	unused := len(p.instances) == 0 && quiet >= p.h.timing.linger || idle > 0 && quiet >= idle
	if !force && (s.inflight > 0 || p.waiters > 0 || !unused) {
		p.mu.Unlock()
		return false
	}
	p.session = nil
	p.set(Draining)
	p.mu.Unlock()
	s.end() // cancels what is under way
	s.closeInstances()
	s.stop("the host stopped it", true)
	p.log.Debug("plugin stopped", "pid", s.run.pid)
	return true
}

func (p *process) startFailed(err error) {
	p.mu.Lock()
	p.failures++
	p.trouble = err
	p.keep = true
	p.set(Backoff)
	p.mu.Unlock()
	p.log.Error("plugin cannot be started", "err", err)
}

// acquire returns the session to call, waiting until there is one. It fails
// when ctx ends, when the host closes, and with the reason when a start fails
// meanwhile. Each session must be released.
func (p *process) acquire(ctx context.Context) (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.failures
	for {
		switch {
		case p.closing:
			return nil, ErrClosed
		case p.session != nil && !p.session.exited():
			p.session.inflight++
			return p.session, nil
		case p.failures != seen:
			return nil, p.trouble
		}
		if err := p.await(ctx); err != nil {
			return nil, err
		}
	}
}

// await waits for a change of state. It needs p.mu, and lets go of it meanwhile.
func (p *process) await(ctx context.Context) error {
	changed := p.changed
	p.waiters++
	p.mu.Unlock()
	p.nudge()
	var err error
	select {
	case <-changed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	p.waiters--
	switch {
	case err != nil && p.state == Backoff:
		return fmt.Errorf("waiting for its restart: %w; %w", err, p.trouble)
	case err != nil:
		return fmt.Errorf("waiting for it (%s): %w", p.state, err)
	}
	return nil
}

// hold is acquire for a session that is known: false if it is over.
func (p *process) hold(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.session != s {
		return false
	}
	s.inflight++
	return true
}

func (p *process) release(s *session) {
	p.mu.Lock()
	s.inflight--
	s.lastUse = time.Now()
	idle := s.inflight == 0
	if idle {
		p.broadcast() // for drain
	}
	p.mu.Unlock()
	if idle {
		p.nudge()
	}
}

// drain refuses new calls and waits for those under way.
func (p *process) drain(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	p.broadcast()
	for p.session != nil && p.session.inflight > 0 {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			if p.session != nil && p.session.inflight > 0 {
				return fmt.Errorf("plugin %s: cut off %d calls: %w", p.c.name, p.session.inflight, ctx.Err())
			}
		}
	}
	return nil
}

// nudge makes the supervisor look again.
func (p *process) nudge() {
	select {
	case p.poke <- struct{}{}:
	default:
	}
}

func (p *process) enter(s State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(s)
}

// set and broadcast need p.mu.
func (p *process) set(s State) {
	p.state, p.since = s, time.Now()
	p.broadcast()
}

func (p *process) broadcast() {
	close(p.changed)
	p.changed = make(chan struct{})
}
