package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// reservation is how many sequence numbers are reserved at a time.
	reservation = 1000
	// batch bounds what a reader takes from the journal at once.
	batch = 256
	// maxUnwritten bounds what memory holds for a journal that is slow.
	maxUnwritten = 1 << 14
	// flushDelay collects events for one transaction. A crash loses at most
	// the events of that time.
	flushDelay = 100 * time.Millisecond
)

// ErrClosed says that the bus was closed and that there are no more events.
var ErrClosed = errors.New("event bus closed")

// Options configures a Bus. The zero value is useful.
type Options struct {
	// Journal keeps events across restarts; without one they are in memory
	// only.
	Journal Journal
	// Memory is how many events readers get without the journal. Default 2048.
	Memory int
	// Logger hears of a journal that fails. Default slog.Default().
	Logger *slog.Logger
}

// Bus is where events are published and read. It is safe for concurrent use.
type Bus struct {
	journal Journal
	memory  int
	log     *slog.Logger

	mu       sync.Mutex
	recent   []Event       // the newest, in order: at least memory of them if there were as many
	last     uint64        // highest number given
	reserved uint64        // highest number that the journal will not see again
	written  uint64        // highest number that the journal has
	changed  chan struct{} // closed and replaced when there is news
	closed   bool

	wake chan struct{} // the journal has something to write
	done sync.WaitGroup
}

// New returns a bus that goes on after the last event of its journal. The
// caller owes it a Close.
func New(o Options) (*Bus, error) {
	if o.Memory <= 0 {
		o.Memory = 2048
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	b := &Bus{journal: o.Journal, memory: o.Memory, log: o.Logger,
		changed: make(chan struct{}), wake: make(chan struct{}, 1)}
	if b.journal == nil {
		return b, nil
	}
	last, err := b.journal.Last()
	if err != nil {
		return nil, fmt.Errorf("event journal: %w", err)
	}
	b.last, b.reserved, b.written = last, last, last
	b.done.Go(b.write)
	return b, nil
}

// Publish gives e its number, and its time and severity if it has none, shows
// it to all readers, and returns it. It does not wait for readers. After Close
// it does nothing.
func (b *Bus) Publish(e Event) Event {
	e = e.copied()
	e.Lost = 0
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Severity == "" {
		e.Severity = Info
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return e
	}
	b.last++
	b.reserve()
	e.Seq = b.last
	b.recent = append(b.recent, e)
	b.trim()
	b.broadcast()
	return e.copied()
}

// Last returns the number of the newest event.
func (b *Bus) Last() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// Since returns up to limit events above after that match, in order; a nil
// match takes all. A limit of 0 or less means no limit.
func (b *Bus) Since(after uint64, limit int, match func(Event) bool) ([]Event, error) {
	var found []Event
	s := &Subscription{bus: b, after: after, match: match}
	for limit <= 0 || len(found) < limit {
		e, _, ok, err := s.poll()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		found = append(found, e)
	}
	return found, nil
}

// Close ends all subscriptions once they have read what there is, and writes
// the journal out. The journal itself stays open.
func (b *Bus) Close() {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.broadcast()
	}
	b.mu.Unlock()
	b.done.Wait()
}

// reserve makes sure that b.last is not used again after a crash. b.mu is
// held: a number must not be seen before it is reserved.
func (b *Bus) reserve() {
	if b.journal == nil || b.last <= b.reserved {
		return
	}
	b.reserved = b.last + reservation
	if err := b.journal.Reserve(b.reserved); err != nil {
		b.log.Error("cannot reserve event numbers", "err", err)
	}
}

// trim forgets old events, many at a time, but none that the journal does not
// have yet while their number is sane. b.mu is held.
func (b *Bus) trim() {
	cut := len(b.recent) - b.memory
	if unwritten := int(b.last - b.written); b.journal != nil && unwritten < maxUnwritten {
		cut = min(cut, len(b.recent)-unwritten)
	}
	if cut >= b.memory {
		b.recent = append(b.recent[:0], b.recent[cut:]...)
	}
}

// broadcast wakes the readers and the writer. b.mu is held.
func (b *Bus) broadcast() {
	close(b.changed)
	b.changed = make(chan struct{})
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// write brings events to the journal, many at a time, until Close.
func (b *Bus) write() {
	for {
		<-b.wake
		if !b.isClosed() {
			time.Sleep(flushDelay)
		}
		closed := b.isClosed() // before the flush, so that it takes all
		b.flush()
		if closed {
			if err := b.journal.Reserve(0); err != nil {
				b.log.Error("cannot give back event numbers", "err", err)
			}
			return
		}
	}
}

func (b *Bus) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

// flush writes what the journal does not have. What cannot be written is given
// up: readers have it in memory.
func (b *Bus) flush() {
	b.mu.Lock()
	events, last, written := b.fromMemory(b.written, len(b.recent)), b.last, b.written
	b.mu.Unlock()
	if len(events) == 0 {
		return
	}
	entries := make([][]byte, len(events))
	for i, e := range events {
		data, err := json.Marshal(e)
		if err != nil { // an Event is text, numbers and a time of this era
			b.log.Error("cannot encode an event", "seq", e.Seq, "err", err)
			data = []byte("{}")
		}
		entries[i] = data
	}
	if lost := events[0].Seq - written - 1; lost > 0 {
		b.log.Warn("events came faster than they could be written", "lost", lost)
	}
	if err := b.journal.Append(events[0].Seq, entries); err != nil {
		b.log.Error("cannot write events", "err", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written = last
}

// fromMemory returns up to limit events above after that are in memory. b.mu
// is held.
func (b *Bus) fromMemory(after uint64, limit int) []Event {
	if len(b.recent) == 0 || after >= b.last {
		return nil
	}
	skip := 0
	if first := b.recent[0].Seq; after >= first {
		skip = int(after - first + 1)
	}
	end := min(len(b.recent), skip+limit)
	return append([]Event(nil), b.recent[skip:end]...)
}

// fromJournal returns up to a batch of the events above after.
func (b *Bus) fromJournal(after uint64) (events []Event, err error) {
	if b.journal == nil {
		return nil, nil
	}
	err = b.journal.Read(after, batch, func(seq uint64, data []byte) error {
		var e Event
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("event %d: %w", seq, err)
		}
		e.Seq = seq
		events = append(events, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("event journal: %w", err)
	}
	return events, nil
}

// read returns events above after, in order, and a channel that is closed when
// there are more. No events mean that there are none yet.
func (b *Bus) read(after uint64) (events []Event, changed <-chan struct{}, err error) {
	b.mu.Lock()
	changed = b.changed
	events = b.fromMemory(after, batch)
	complete := after >= b.last || len(events) > 0 && events[0].Seq == after+1
	b.mu.Unlock()
	if complete {
		return events, changed, nil
	}
	older, err := b.fromJournal(after)
	if err != nil {
		return nil, changed, err
	}
	// What memory has by now may begin before what the journal has.
	if len(older) > 0 && (len(events) == 0 || older[0].Seq < events[0].Seq) {
		events = older
	}
	if len(events) > 0 && after > 0 {
		events[0].Lost, err = b.lost(after)
	}
	return events, changed, err
}

// lost returns how many events after the number after are kept no more. A gap
// that a crash has left in the numbers is none of them.
func (b *Bus) lost(after uint64) (uint64, error) {
	oldest := uint64(0)
	b.mu.Lock()
	if len(b.recent) > 0 {
		oldest = b.recent[0].Seq
	}
	b.mu.Unlock()
	if b.journal != nil {
		err := b.journal.Read(0, 1, func(seq uint64, _ []byte) error {
			if oldest == 0 || seq < oldest {
				oldest = seq
			}
			return nil
		})
		if err != nil {
			return 0, fmt.Errorf("event journal: %w", err)
		}
	}
	if oldest <= after+1 {
		return 0, nil
	}
	return oldest - after - 1, nil
}
