package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A lock is an flock on a file. It belongs to the open file, so it works
// between goroutines as between processes, and ends with the process.
type lock struct{ f *os.File }

var errLocked = errors.New("locked by another")

// tryLock takes the lock at path at once or returns errLocked.
func tryLock(path string, how int) (lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) { // the cache has been wiped
		if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return lock{}, err
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return lock{f}, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, syscall.EINTR) {
		err = errLocked
	}
	return lock{}, err
}

// waitLock takes the lock at path, trying again until ctx ends.
func waitLock(ctx context.Context, path string, how int) (lock, error) {
	const first, most = time.Millisecond, 100 * time.Millisecond
	for pause := first; ; pause = min(2*pause, most) {
		l, err := tryLock(path, how)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return lock{}, fmt.Errorf("waiting for another user of the mirror: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

func (l lock) release() { _ = l.f.Close() } // closing unlocks
