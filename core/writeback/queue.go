package writeback

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

	"github.com/sluice-gitops/sluice/core/state"
)

// remembered is how many outcomes Wait can still tell after they were told.
const remembered = 4096

// Queue is the queue of changes. It is safe for concurrent use.
type Queue struct {
	o Options

	submitting sync.Mutex // one Submit at a time; held during the write to disk

	mu      sync.Mutex
	seq     uint64
	lanes   map[lane]*worker
	entries map[string]*entry // by the ID of the change, until they are forgotten
	ended   map[string]Outcome
	order   []string // keys of ended, the oldest first
	started bool
	closed  bool

	stop   chan struct{} // closed by Close: nothing new begins
	gone   chan struct{} // closed when nothing runs any more
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // workers
}

// lane is what one worker works for.
type lane struct{ source, branch string }

// String names l for people and on disk.
func (l lane) String() string {
	if l.branch == "" {
		return l.source
	}
	return l.source + " branch " + l.branch
}

// New returns a queue that knows what former ones left over. It does nothing
// before Start. The caller owes it a Close.
func New(o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &Queue{o: o, lanes: map[lane]*worker{}, entries: map[string]*entry{}, ended: map[string]Outcome{},
		stop: make(chan struct{}), gone: make(chan struct{})}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	if err := q.load(); err != nil {
		q.cancel()
		return nil, fmt.Errorf("commit queue: %w", err)
	}
	return q, nil
}

// Start begins to work: from now on the functions of Options are called.
func (q *Queue) Start() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started = true
	for l, w := range q.lanes {
		q.run(l, w)
	}
}

// Submit takes changes, all or none. They are on disk when it returns nil. One
// whose ID is pending already is left out.
func (q *Queue) Submit(changes ...Change) error {
	q.submitting.Lock()
	defer q.submitting.Unlock()
	entries, err := q.accept(changes)
	if err != nil || len(entries) == 0 {
		return err
	}
	writes := make([]state.Change, len(entries))
	for i, e := range entries {
		writes[i] = records.Change(e.key(), record{Change: e.change})
	}
	if err := q.o.Store.Write(writes); err != nil {
		return fmt.Errorf("commit queue: %w", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		q.add(e)
	}
	return nil
}

// accept makes entries of the changes that are not known.
func (q *Queue) accept(changes []Change) ([]*entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, ErrClosed
	}
	var entries []*entry
	new := map[string]bool{}
	for _, c := range changes {
		if c.ID == "" || c.Source == "" || len(c.Edits) == 0 {
			return nil, fmt.Errorf("commit queue: change %q of %q has no ID, source or edits", c.ID, c.Source)
		}
		if q.entries[c.ID] != nil || new[c.ID] {
			continue
		}
		new[c.ID] = true
		if c.At.IsZero() {
			c.At = time.Now()
		}
		q.seq++
		entries = append(entries, &entry{seq: q.seq, change: c, done: make(chan struct{})})
	}
	return entries, nil
}

// add gives e to the worker of its lane. q.mu is held, or nobody else knows q.
func (q *Queue) add(e *entry) {
	l := lane{e.change.Source, e.change.Branch}
	w := q.lanes[l]
	if w == nil {
		w = newWorker()
		q.lanes[l] = w
	}
	q.entries[e.change.ID] = e
	w.arrive(e, q.o.Quiet)
	if q.started && !q.closed {
		q.run(l, w)
	}
}

// run makes sure that somebody works for l. q.mu is held.
func (q *Queue) run(l lane, w *worker) {
	if w.running {
		w.nudge()
		return
	}
	w.running = true
	q.wg.Go(func() { q.work(l, w) })
}

// Wait returns how the change ended, once Done has returned for it. If the
// queue is closed first, the error is ErrClosed, and the change goes on with
// the next queue over the same store. Of a change that ended long ago, or in
// another process, the error is ErrUnknown.
func (q *Queue) Wait(ctx context.Context, id string) (Outcome, error) {
	q.mu.Lock()
	e, outcome := q.entries[id], q.ended[id]
	q.mu.Unlock()
	if e == nil {
		if outcome.ID == "" {
			return Outcome{}, fmt.Errorf("change %q: %w", id, ErrUnknown)
		}
		return outcome, nil
	}
	select {
	case <-e.done:
		return *e.outcome, nil
	default:
	}
	select {
	case <-e.done:
		return *e.outcome, nil
	case <-q.gone:
		return Outcome{}, ErrClosed
	case <-ctx.Done():
		return Outcome{}, context.Cause(ctx)
	}
}

// Pending returns the changes of a sync that have not ended, in the order of
// their arrival; "" means those of all syncs.
func (q *Queue) Pending(sync string) []Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	var pending []*entry
	for _, e := range q.entries {
		if e.outcome == nil && (sync == "" || e.change.Sync == sync) {
			pending = append(pending, e)
		}
	}
	slices.SortFunc(pending, bySeq)
	changes := make([]Change, len(pending))
	for i, e := range pending {
		changes[i] = e.change
	}
	return changes
}

// Status returns what is pending, by source and branch, sorted.
func (q *Queue) Status() []Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []Status
	for _, l := range q.sortedLanes() {
		all = append(all, q.lanes[l].status(l))
	}
	return all
}

// sortedLanes are the lanes by name. q.mu is held.
func (q *Queue) sortedLanes() []lane {
	return slices.SortedFunc(maps.Keys(q.lanes), func(a, b lane) int { return strings.Compare(a.String(), b.String()) })
}

// Waits counts the changes that match and wait for another try, and returns why
// the first of them does.
func (q *Queue) Waits(match func(Change) bool) (n int, why error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.sortedLanes() {
		w := q.lanes[l]
		for _, e := range w.pending {
			err := cmp.Or(w.err, e.err)
			if e.outcome != nil || err == nil || !match(e.change) {
				continue
			}
			n++
			why = cmp.Or(why, err)
		}
	}
	return n, why
}

// Reconfigure tries everything again now, or what is for the sources that are
// named: the configuration changed, or one is not suspended or not away any more.
func (q *Queue) Reconfigure(sources ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l, w := range q.lanes {
		if len(sources) == 0 || slices.Contains(sources, l.source) {
			w.retry(time.Time{})
		}
	}
}

// apart is the least time between two tries of which Reached causes the second.
const apart = 5 * time.Second

// Reached says that a source has answered somebody: what waits after a failure
// is tried soon, unless the failure said when. A source that answers often does
// not make the tries as many.
func (q *Queue) Reached(source string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for l, w := range q.lanes {
		if soon := w.began.Add(apart); l.source == source && w.failures > 0 && !w.told && soon.Before(w.next) {
			w.next = soon
			w.nudge()
		}
	}
}

// Close begins nothing new, waits for commits that run, and cancels them when
// ctx ends. What has not ended goes on with the next queue over the same store.
// It returns when nothing runs any more, with the cause of ctx's end if it had
// to cancel.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.mu.Unlock()
	if !first {
		<-q.gone
		return nil
	}
	close(q.stop)
	stopped := context.AfterFunc(ctx, q.cancel)
	q.wg.Wait()
	q.cancel()
	close(q.gone)
	if !stopped() && q.interrupted() {
		return context.Cause(ctx)
	}
	return nil
}

// interrupted reports whether something has not ended.
func (q *Queue) interrupted() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries) > 0
}

// conclude notes the outcomes of entries, which have one, tells them, and
// forgets them. A disk
// that fails costs no outcome: after a restart the change is found to be
// written, and told a second time.
func (q *Queue) conclude(l lane, entries []*entry) {
	if len(entries) == 0 {
		return
	}
	if err := q.recordOutcomes(entries); err != nil {
		q.o.Logger.Error("cannot note what was committed: it will be told again after a restart", "source", l.source, "err", err)
	}
	q.tell(l, entries)
}

// tell calls Done for entries, whose outcomes are noted, and forgets them.
func (q *Queue) tell(l lane, entries []*entry) {
	if len(entries) == 0 {
		return
	}
	ended := make([]Ended, len(entries))
	for i, e := range entries {
		ended[i] = Ended{e.change, *e.outcome}
	}
	q.o.Done(ended)
	if err := q.forget(l, entries); err != nil {
		q.o.Logger.Error("cannot forget what was committed: it will be told again after a restart", "source", l.source, "err", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.lanes[l]
	w.pending = slices.DeleteFunc(w.pending, func(e *entry) bool { return e.outcome != nil })
	for _, e := range entries {
		delete(q.entries, e.change.ID)
		q.remember(*e.outcome)
		close(e.done)
	}
}

// remember keeps o for those who Wait late. q.mu is held.
func (q *Queue) remember(o Outcome) {
	if _, known := q.ended[o.ID]; !known {
		q.order = append(q.order, o.ID)
	}
	q.ended[o.ID] = o
	for len(q.order) > remembered {
		delete(q.ended, q.order[0])
		q.order = q.order[1:]
	}
}

// warn tells a person.
func (q *Queue) warn(source string, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	q.o.Logger.Warn("commit queue", "source", source, "err", err)
	q.o.Warn(source, err)
}
