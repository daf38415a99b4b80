package limit

import "slices"

// queue keeps those who wait in the order in which they came.
type queue struct{ waiting []*waiter }

// waiter is one who waits; first is closed when nobody is before it.
type waiter struct{ first chan struct{} }

func (q *queue) join() *waiter {
	w := &waiter{first: make(chan struct{})}
	q.waiting = append(q.waiting, w)
	if len(q.waiting) == 1 {
		close(w.first)
	}
	return w
}

// quit takes w out, whether it got its turn or gave up.
func (q *queue) quit(w *waiter) {
	i := slices.Index(q.waiting, w)
	q.waiting = slices.Delete(q.waiting, i, i+1)
	if i == 0 && len(q.waiting) > 0 {
		close(q.waiting[0].first)
	}
}
