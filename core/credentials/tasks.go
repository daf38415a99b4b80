package credentials

import (
	"sync"
	"time"
)

// tasks counts the broker's goroutines, so that Close can wait for them.
type tasks struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// begin counts a goroutine; it reports false, and counts nothing, once the
// broker is closed. Each begin has an end.
func (t *tasks) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running.Add(1)
	return true
}

// always is begin for what closing itself needs: it is called by a counted
// goroutine, or before wait.
func (t *tasks) always() { t.running.Add(1) }

func (t *tasks) end() { t.running.Done() }

// after calls fn in a goroutine of its own, unless the broker is closed by then.
func (t *tasks) after(d time.Duration, fn func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if t.begin() {
			defer t.end()
			fn()
		}
	})
}

// close lets no further goroutine begin; it reports whether it was the first to.
func (t *tasks) close() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.closed
	t.closed = true
	return first
}
