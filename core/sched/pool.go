// Package sched decides when work runs: a Pool runs keyed jobs with a bounded
// number of workers, a Timetable tells when each key is due next.
//
// The two know nothing of each other and nothing of what they schedule. A
// daemon connects them: what the Timetable calls due is submitted to the Pool,
// and when a job has ended its outcome goes back to the Timetable, which waits
// for the next interval or backs off. All times are monotonic, so setting the
// system clock neither delays nor repeats work. Slots bound what jobs do at once
// to something that all of them share.
package sched

import (
	"cmp"
	"container/heap"
	"context"
	"sync"
)

// Priority orders waiting jobs; a job of a higher priority starts first, and
// jobs of the same priority start in the order in which they were submitted.
type Priority int

const (
	Interval    Priority = iota // the time had come
	Drift                       // somebody else changed the target
	Webhook                     // somebody else says that there is news
	Interactive                 // a person waits for it
	resume                      // a job that parked and wants to go on
)

// String returns the name of p, as status and logs show it.
func (p Priority) String() string {
	switch p {
	case Interval:
		return "interval"
	case Drift:
		return "drift"
	case Webhook:
		return "webhook"
	}
	return "interactive"
}

// Job is a piece of work. Its context ends when the job is cancelled, and
// leads Park to the pool.
type Job func(ctx context.Context)

// Pool runs jobs by key. For each key at most one job runs and at most one
// waits, so nothing is lost and nothing piles up: a job that runs may have
// read the world before the latest change, a job that waits has not. Idle keys
// cost nothing. All methods are safe for concurrent use.
type Pool struct {
	workers int

	mu     sync.Mutex
	free   int // workers that run nothing; negative while cancelled jobs unwind out of Park
	keys   map[string]*slot
	queue  queue
	seq    uint64
	closed bool
	done   sync.WaitGroup // running jobs
}

// slot is what the pool knows of one key; it exists while something of that
// key runs or waits.
type slot struct {
	running *run
	waiting *entry // in the queue only if nothing of the key is running
}

// run is a job that has begun.
type run struct {
	pool   *Pool
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}
}

// NewPool returns a pool that runs up to workers jobs at once, at least one.
func NewPool(workers int) *Pool {
	workers = max(workers, 1)
	return &Pool{workers: workers, free: workers, keys: map[string]*slot{}}
}

// Submit asks for job to be run under key and returns at once. If a job of
// that key waits already, the two become one: it takes the higher of the two
// priorities, its place in the order, and the job given last. Submit returns
// false, and does nothing, once the pool is closed.
func (p *Pool) Submit(key string, priority Priority, job Job) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	s := p.keys[key]
	if s == nil {
		s = &slot{}
		p.keys[key] = s
	}
	if s.waiting == nil {
		s.waiting = p.newEntry(key, priority)
		if s.running == nil {
			heap.Push(&p.queue, s.waiting)
		}
	}
	s.waiting.job = job
	if priority > s.waiting.priority {
		s.waiting.priority = priority
		if s.waiting.index >= 0 {
			heap.Fix(&p.queue, s.waiting.index)
		}
	}
	p.dispatch()
	return true
}

// Cancel forgets the job of key that waits, cancels the one that runs, and
// waits until it has ended or ctx has. A job must not Cancel its own key.
func (p *Pool) Cancel(ctx context.Context, key string) error {
	p.mu.Lock()
	s := p.keys[key]
	if s == nil {
		p.mu.Unlock()
		return nil
	}
	p.drop(key, s)
	r := s.running
	p.mu.Unlock()
	if r == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close refuses new jobs, forgets those that wait, and lets those that run go
// on until ctx ends; then it cancels them. It returns when none runs any more,
// with the cause of ctx's end if it had to cancel. Further calls do the same.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	for key, s := range p.keys {
		p.drop(key, s)
	}
	p.mu.Unlock()

	drained := make(chan struct{})
	go func() {
		p.done.Wait()
		close(drained)
	}()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		p.cancelAll()
		<-drained
		return context.Cause(ctx)
	}
}

// Stats is a snapshot of a Pool.
type Stats struct {
	Running int // jobs that have begun, parked ones included
	Waiting int // jobs that have not
	Workers int
}

// Stats returns how much runs and waits now.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Stats{Workers: p.workers}
	for _, s := range p.keys {
		if s.running != nil {
			st.Running++
		}
		if s.waiting != nil {
			st.Waiting++
		}
	}
	return st
}

// State tells whether a job of key runs, and whether one waits.
func (p *Pool) State(key string) (running, waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.keys[key]
	if s == nil {
		return false, false
	}
	return s.running != nil, s.waiting != nil
}

// Park calls wait without occupying a worker: while it waits, for a rollout to
// become healthy for example, the worker runs other jobs. When wait returns,
// Park takes a worker back, ahead of every job that has not begun, and returns
// wait's error, or that of the job's context if the job was cancelled since.
// ctx must be that of a job or come from it; outside of a job Park only calls
// wait. A job parks at one place at a time.
func Park(ctx context.Context, wait func(ctx context.Context) error) error {
	r, ok := ctx.Value(runKey{}).(*run)
	if !ok {
		return wait(ctx)
	}
	r.pool.release()
	waited := wait(ctx)
	retaken := r.pool.retake(r.ctx)
	return cmp.Or(waited, retaken)
}

type runKey struct{}

func (p *Pool) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	p.dispatch()
}

// retake waits for a worker. A cancelled job gets one at once, so that it ends
// promptly, at the price of running one job too many until it has.
func (p *Pool) retake(ctx context.Context) error {
	p.mu.Lock()
	e := p.newEntry("", resume)
	e.granted = make(chan struct{})
	heap.Push(&p.queue, e)
	p.dispatch()
	p.mu.Unlock()
	select {
	case <-e.granted:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.index >= 0 {
		heap.Remove(&p.queue, e.index)
		p.free--
	}
	return context.Cause(ctx)
}

// drop forgets the waiting job of key. p.mu is held.
func (p *Pool) drop(key string, s *slot) {
	if s.waiting == nil {
		return
	}
	if s.waiting.index >= 0 {
		heap.Remove(&p.queue, s.waiting.index)
	}
	s.waiting = nil
	if s.running == nil {
		delete(p.keys, key)
	}
}

func (p *Pool) cancelAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.keys {
		if s.running != nil {
			s.running.cancel()
		}
	}
}

// dispatch gives free workers to what waits. p.mu is held.
func (p *Pool) dispatch() {
	for p.free > 0 && p.queue.Len() > 0 {
		e := heap.Pop(&p.queue).(*entry)
		p.free--
		if e.granted != nil {
			close(e.granted)
			continue
		}
		p.start(e)
	}
}

// start runs e's job in a goroutine of its own, which p.done waits for.
// p.mu is held.
func (p *Pool) start(e *entry) {
	r := &run{pool: p, ended: make(chan struct{})}
	r.ctx, r.cancel = context.WithCancel(context.WithValue(context.Background(), runKey{}, r))
	s := p.keys[e.key]
	s.waiting, s.running = nil, r
	p.done.Go(func() {
		defer p.finish(e.key, s, r)
		e.job(r.ctx)
	})
}

// finish frees the worker of r and queues the key's next job. It also runs
// when a job ends its goroutine, as t.FailNow does.
func (p *Pool) finish(key string, s *slot, r *run) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.cancel()
	close(r.ended)
	s.running = nil
	if s.waiting != nil {
		heap.Push(&p.queue, s.waiting)
	} else {
		delete(p.keys, key)
	}
	p.free++
	p.dispatch()
}

func (p *Pool) newEntry(key string, priority Priority) *entry {
	p.seq++
	return &entry{key: key, priority: priority, seq: p.seq, index: -1}
}
