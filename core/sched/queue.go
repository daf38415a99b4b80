package sched

// entry waits for a worker: a job that has not begun, or a parked one.
type entry struct {
	key      string
	priority Priority
	seq      uint64
	job      Job
	granted  chan struct{} // of a parked job: closed when it has a worker
	index    int           // in the queue, -1 if it is not there
}

// queue is a heap.Interface: highest priority first, then oldest.
type queue []*entry

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].priority != q[j].priority {
		return q[i].priority > q[j].priority
	}
	return q[i].seq < q[j].seq
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.index = -1
	return e
}
