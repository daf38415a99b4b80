package event

import "context"

// Subscribe returns a reader of the events above after that match; a nil match
// takes all. With after = b.Last() it reads only what is new, with 0 all that
// is kept. A number that was never given counts as the newest.
func (b *Bus) Subscribe(after uint64, match func(Event) bool) *Subscription {
	return &Subscription{bus: b, after: min(after, b.Last()), match: match}
}

// Subscription is a reader's position. It needs no closing, and is not safe
// for concurrent use.
type Subscription struct {
	bus   *Bus
	match func(Event) bool
	after uint64  // the last event that was taken from the bus
	ahead []Event // taken, and not looked at
	lost  uint64  // to report with the next event
}

// Next returns the next event; it waits for one until ctx ends. After Close it
// returns what there is, then ErrClosed.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, changed, ok, err := s.poll()
		if err != nil || ok {
			return e, err
		}
		if s.bus.isClosed() && s.bus.Last() == s.after {
			return Event{}, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// poll returns the next event that matches, if there is one.
func (s *Subscription) poll() (e Event, changed <-chan struct{}, ok bool, err error) {
	for {
		for len(s.ahead) > 0 {
			e, s.ahead = s.ahead[0], s.ahead[1:]
			s.after = e.Seq
			s.lost += e.Lost
			e.Lost = s.lost
			if s.match == nil || s.match(e) {
				s.lost = 0
				return e.copied(), nil, true, nil
			}
		}
		if s.ahead, changed, err = s.bus.read(s.after); err != nil || len(s.ahead) == 0 {
			return Event{}, changed, false, err
		}
	}
}
