package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOnlyOneHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "a.lock")
	first, err := Acquire(t.Context(), path, func() { t.Error("waits for a lock that nobody holds") })
	if err != nil {
		t.Fatal(err)
	}

	waiting, got := make(chan struct{}), make(chan error)
	go func() {
		second, err := Acquire(t.Context(), path, func() { close(waiting) })
		if err == nil {
			second.Release()
		}
		got <- err
	}()
	<-waiting
	select {
	case err := <-got:
		t.Fatalf("a second Acquire returned (%v) while the lock was held", err)
	default:
	}
	first.Release()
	if err := <-got; err != nil {
		t.Errorf("Acquire after Release: %v", err)
	}
}

func TestWaitCanBeCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	held, err := Acquire(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Acquire(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire = %v, want context.Canceled", err)
	}
}

// Many take the lock and remove its file; each must be alone with it.
func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.lock")
	var holders, wrong atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			lock, err := Acquire(t.Context(), path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if holders.Add(1) != 1 {
				wrong.Add(1)
			}
			runtime.Gosched()
			holders.Add(-1)
			if err := lock.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wrong.Load() > 0 {
		t.Error("two held the lock at once")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}
