package mirror

import "runtime"

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
