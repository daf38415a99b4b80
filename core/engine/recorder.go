package engine

import "sync"

// recorder writes what nodes remember behind their work, so that no worker
// waits for a disk. However often a node changes meanwhile, it is written
// once. A crash loses what was not written yet, which costs a rescan.
type recorder struct {
	write func(id string)
	wake  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	dirty  map[string]bool
	closed bool
}

// newRecorder returns a recorder that calls write for each node that was
// marked. The caller owes it a close.
func newRecorder(write func(id string)) *recorder {
	r := &recorder{write: write, wake: make(chan struct{}, 1), dirty: map[string]bool{}}
	r.done.Go(r.loop)
	return r
}

// mark has the node written soon.
func (r *recorder) mark(id string) {
	r.mu.Lock()
	r.dirty[id] = true
	r.mu.Unlock()
	r.nudge()
}

// close writes what is left.
func (r *recorder) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.nudge()
	r.done.Wait()
}

func (r *recorder) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // the loop will look anyway
	}
}

func (r *recorder) loop() {
	for {
		<-r.wake
		dirty, closed := r.take()
		r.writeAll(dirty)
		if closed {
			return
		}
	}
}

// writeAll writes several at a time, so that the store can join them in one
// transaction.
func (r *recorder) writeAll(dirty map[string]bool) {
	const atOnce = 64
	slots := make(chan struct{}, atOnce)
	var writes sync.WaitGroup
	for id := range dirty {
		slots <- struct{}{}
		writes.Go(func() {
			defer func() { <-slots }()
			r.write(id)
		})
	}
	writes.Wait()
}

func (r *recorder) take() (dirty map[string]bool, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dirty, r.dirty = r.dirty, map[string]bool{}
	return dirty, r.closed
}
