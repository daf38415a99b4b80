// Package cache remembers what registries said about images, across restarts:
// listings of tags, the digest of a tag, what is behind a digest, and what is
// not worth asking again for a while. It is one bbolt file, images.db, in the
// daemon's data directory.
//
// Nothing in it is the only copy: whatever goes wrong with reading is a miss,
// and a file that is damaged or of a newer format is moved aside. Writes are
// collected and go to disk together about every second; reads see them at
// once. A kill at any moment loses at most those; it damages nothing. When
// the disk is full, what cannot be written is served from memory and tried
// again.
//
// The file is bounded: images that were not used for longest go first, then
// repositories that were not seen for longest. bbolt never shrinks a file, it
// fills what is free; one that is mostly free is rewritten when it is opened.
//
// All methods may be called at the same time. After Close, reads miss and
// writes return ErrClosed.
package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/sluice-gitops/sluice/core/state/boltfile"
)

// format is the version of what the file holds.
const format = 1

const (
	fileName        = "images.db"
	defaultMaxBytes = 256 << 20
	minMaxBytes     = 1 << 20
	flushAfter      = time.Second      // that writes are collected
	retryAfter      = 30 * time.Second // at most, when writing fails
)

// Options configures Open. The zero value is useful.
type Options struct {
	// MaxBytes bounds how much of the file is in use; the file itself is some
	// MiB larger. Default 256 MiB, at least 1 MiB.
	MaxBytes int64
	// Logger hears of damage and of writes that fail. Default slog.Default().
	Logger *slog.Logger
}

// Cache is an open cache.
type Cache struct {
	store  store
	max    int64
	logger *slog.Logger

	putting sync.Mutex    // held by who puts what depends on what is there
	number  uint64        // of the next image; guarded by putting
	roomy   atomic.Bool   // less than half of max is in use
	wake    chan struct{} // holds something if there is something to flush
	full    chan struct{} // the same, if it is much
	stop    chan struct{}
	stopped chan struct{}

	hits, misses, evicted, damaged atomic.Uint64
}

// Open opens the cache in the data directory dir, and makes both if needed.
// The caller owes it a Close. If another process has the same directory, the
// error is a *boltfile.LockedError.
func Open(dir string, o Options) (*Cache, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	file, err := boltfile.Open(filepath.Join(dir, fileName), boltfile.Options{
		Format: format, Lost: "what is known of images; it is read from their registries again", Expendable: true, Logger: o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("image cache: %w", err)
	}
	c := &Cache{
		store:  store{file: file, pending: map[place][]byte{}},
		max:    max(o.MaxBytes, minMaxBytes),
		logger: o.Logger,
		wake:   make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := c.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("image cache: %w", err), file.Close())
	}
	go c.run()
	return c, nil
}

// begin makes the buckets, forgets failures of long ago, and finds out where
// the numbers of images go on.
func (c *Cache) begin() error {
	// How much a file of more than this size grows by.
	c.store.file.DB.AllocSize = int(min(max(c.max/16, 1<<16), 16<<20))
	err := c.store.file.DB.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		last, _ := tx.Bucket([]byte(images)).Cursor().Last()
		c.number = numberOf(last) + 1
		return forgetFailures(tx.Bucket([]byte(negatives)), time.Now())
	})
	if err != nil {
		return err
	}
	return c.evict()
}

// Flush writes to disk what has been put, and makes room.
func (c *Cache) Flush() error {
	c.store.mu.RLock()
	closed := c.store.closed
	c.store.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	return c.writeOut()
}

func (c *Cache) writeOut() error {
	c.store.flushing.Lock()
	defer c.store.flushing.Unlock()
	err := c.store.flush()
	if err == nil {
		err = c.evict()
	}
	return wrap(err)
}

// wrap names the cache in an error of the file.
func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return ErrClosed
	default:
		return fmt.Errorf("image cache: %w", err)
	}
}

// Close writes out what has been put and lets go of the file.
func (c *Cache) Close() error {
	c.store.mu.Lock()
	closed := c.store.closed
	c.store.closed = true
	c.store.mu.Unlock()
	if closed {
		return ErrClosed
	}
	close(c.stop)
	<-c.stopped
	return errors.Join(c.writeOut(), c.store.file.Close())
}

// put records and has them flushed soon.
func (c *Cache) put(records map[place][]byte) error {
	if err := c.store.put(records); err != nil {
		return err
	}
	notify(c.wake)
	c.store.mu.RLock()
	much := c.store.size > flushAt
	c.store.mu.RUnlock()
	if much {
		notify(c.full)
	}
	return nil
}

func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// run flushes until the cache is closed.
func (c *Cache) run() {
	defer close(c.stopped)
	wait, failing := flushAfter, false
	for {
		select {
		case <-c.stop:
			return
		case <-c.wake:
		}
		if !c.collect(wait, failing) {
			return
		}
		err := c.writeOut()
		switch {
		case err != nil && !failing:
			c.logger.Warn("the image cache cannot be written: going on with what is in memory", "err", err)
		case err == nil && failing:
			c.logger.Info("the image cache can be written again")
		}
		if failing = err != nil; failing {
			wait = min(2*wait, retryAfter)
			notify(c.wake)
		} else {
			wait = flushAfter
		}
	}
}

// collect waits for more to be put, and returns false when the cache is
// closed. A disk that fails is not asked sooner because there is much to write.
func (c *Cache) collect(wait time.Duration, failing bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	full := c.full
	if failing {
		full = nil
	}
	select {
	case <-c.stop:
		return false
	case <-full:
	case <-timer.C:
	}
	return true
}

// lost says that a record could not be read, and forgets it.
func (c *Cache) lost(p place, of string, cause error) {
	c.damaged.Add(1)
	c.logger.Warn("the image cache has a damaged record: forgetting it", "record", p.bucket, "of", of, "err", cause)
	if err := c.put(map[place][]byte{p: nil}); err != nil && !errors.Is(err, ErrClosed) {
		c.logger.Warn("a damaged record stays", "err", err)
	}
}

// count counts a hit or a miss and returns ok.
func (c *Cache) count(ok bool) bool {
	if ok {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return ok
}
