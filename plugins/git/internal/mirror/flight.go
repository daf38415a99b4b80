package mirror

import (
	"context"
	"slices"
)

// A flight is one fetch for all who asked before it started.
type flight struct {
	ctx     context.Context // ends when nobody waits any more
	cancel  context.CancelFunc
	access  Access
	refs    []string
	waiters int

	done    chan struct{} // closed when results and err are set
	results map[string]Result
	err     error
}

// Result is what became of one ref.
type Result struct {
	Hash string // of the object that the remote's ref points to
	Err  error  // the remote has no such ref
}

// Fetch brings the refs (HEAD, full names, or commit hashes) up to date and
// returns a Result for each. A ref that does not exist is an error in its
// Result only; any other failure concerns all. A call never returns the
// outcome of a fetch that started before it.
func (m *Mirror) Fetch(ctx context.Context, a Access, refs ...string) (map[string]Result, error) {
	f := m.join(a, refs)
	select {
	case <-f.done:
		return f.results, f.err
	case <-ctx.Done():
		m.leave(f)
		return nil, contextFault(ctx, a.URL)
	}
}

// join adds refs to the flight that starts next.
func (m *Mirror) join(a Access, refs []string) *flight {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.next
	if f == nil {
		f = &flight{access: a, done: make(chan struct{})}
		f.ctx, f.cancel = context.WithCancel(m.ctx)
		m.next = f
	}
	f.waiters++
	for _, ref := range refs {
		if !slices.Contains(f.refs, ref) {
			f.refs = append(f.refs, ref)
		}
	}
	if !m.busy {
		m.busy = true
		m.running.Go(m.work)
	}
	return f
}

// leave gives up waiting for f. The last to leave stops it.
func (m *Mirror) leave(f *flight) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	f.cancel()
	if m.next == f {
		m.next = nil
	}
}

// work runs flights until there is none.
func (m *Mirror) work() {
	for {
		m.mu.Lock()
		f := m.next
		m.next = nil
		m.busy = f != nil
		m.mu.Unlock()
		if f == nil {
			return
		}
		f.results, f.err = m.update(f.ctx, f.access, f.refs)
		f.cancel()
		close(f.done)
	}
}
