package mirror

import (
	"context"
	"runtime"
	"syscall"
)

// Use is what readers and writers of objects do until they release it.
func (m *Mirror) Use(ctx context.Context) (release func(), err error) {
	l, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	return l.release, err
}

// WaitForWishes returns when n calls wait for the next fetch.
func (m *Mirror) WaitForWishes(n int) {
	for {
		m.mu.Lock()
		reached := m.next != nil && m.next.waiters >= n
		m.mu.Unlock()
		if reached {
			return
		}
		runtime.Gosched()
	}
}
