// Package filelock is a lock between processes: whoever holds the file's
// advisory lock goes on, the others wait. The kernel drops the lock when its
// holder ends, however it ends, so that nothing stale is ever left behind.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// pollInterval is how often a waiter tries again. A blocking flock could not
// be cancelled.
const pollInterval = 50 * time.Millisecond

// Lock is a lock that is held.
type Lock struct {
	file *os.File
}

// Acquire takes the lock of the file at path, which it creates together with
// its directory when missing, and waits while another process, or another Lock
// of this one, holds it. waiting, when not nil, is called once before the wait.
// It returns ctx's error when ctx ends first.
func Acquire(ctx context.Context, path string, waiting func()) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if waiting != nil {
		waiting = sync.OnceFunc(waiting)
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if err := poll(ctx, file, waiting); err != nil {
			_ = file.Close() // Nothing was written to it.
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		lock := &Lock{file: file}
		if lock.current() {
			return lock, nil
		}
		lock.Release() // Its holder removed it while we waited.
	}
}

// current reports whether the file that is locked is the one that others will lock.
func (l *Lock) current() bool {
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(l.file.Name())
	return err == nil && os.SameFile(locked, named)
}

// Release gives the lock up.
func (l *Lock) Release() {
	_ = l.file.Close() // Closing drops the lock; an error could change nothing.
}

// Remove removes the file and gives the lock up. Who waits for it goes on with
// a new file.
func (l *Lock) Remove() error {
	err := os.Remove(l.file.Name())
	l.Release()
	return err
}

func poll(ctx context.Context, file *os.File, waiting func()) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
