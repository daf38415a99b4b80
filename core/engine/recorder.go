package engine

import (
	"maps"
	"slices"
	"sync"
)

// recorder writes what nodes remember behind their work, so that no worker
// waits for a disk. However often a node changes meanwhile, it is written
// once. A crash loses what was not written yet, which costs a rescan.
type recorder struct {
	write func(ids []string)
	wake  chan struct{}
	done  sync.WaitGroup

	mu     sync.Mutex
	dirty  map[string]bool
	closed bool
}

// newRecorder returns a recorder that calls write with the nodes that were
// marked, each at most once in a call. The caller owes it a close.
func newRecorder(write func(ids []string)) *recorder {
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

// writeAll writes a part at a time, so that a part is one write to the disk and
// the engine is not held up by the whole.
func (r *recorder) writeAll(dirty []string) {
	const atOnce = 256
	for part := range slices.Chunk(dirty, atOnce) {
		r.write(part)
	}
}

func (r *recorder) take() (dirty []string, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dirty = slices.Sorted(maps.Keys(r.dirty))
	clear(r.dirty)
	return dirty, r.closed
}
