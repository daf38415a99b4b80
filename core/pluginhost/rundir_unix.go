//go:build unix

package pluginhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	runPrefix = "h" // of a host's own directory in RunDir
	runLock   = "lock"

	// What a socket's path adds to RunDir: "/h" and "/plugin-dir" and "/plugin"
	// with up to ten random digits each.
	socketSuffix = len("/h") + len("/plugin-dir") + len("/plugin") + 3*10
)

// runDir is this host's directory for sockets. Its lock file is held as long
// as the host lives, so that another host can tell what a killed one left.
type runDir struct {
	path string
	lock *os.File
}

// newRunDir removes what dead hosts left in base, and makes a directory for
// this one. Only its owner may read base.
func newRunDir(base string) (*runDir, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if most := socketPathMax() - socketSuffix; len(base) > most {
		return nil, fmt.Errorf("run directory %s is too long: sockets in it would pass the limit of %d bytes that the system has for their paths; choose one of at most %d bytes, such as /run/sluice",
			base, socketPathMax(), most)
	}
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	if err := checkPrivate(base); err != nil {
		return nil, err
	}
	all, err := lockFile(filepath.Join(base, runLock), syscall.LOCK_EX) // for a moment
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	defer func() { _ = all.Close() }() // lets go of the lock
	if err := sweep(base); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	path, err := os.MkdirTemp(base, runPrefix)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, runLock), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run directory: %w", err), os.RemoveAll(path))
	}
	return &runDir{path: path, lock: lock}, nil
}

// Close removes the directory. It holds the lock of the base meanwhile: a host
// that sweeps would find half of it.
func (d *runDir) Close() error {
	all, err := lockFile(filepath.Join(filepath.Dir(d.path), runLock), syscall.LOCK_EX)
	if err == nil {
		defer func() { _ = all.Close() }() // lets go of the lock
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil // somebody has removed all of it
	}
	return errors.Join(err, os.RemoveAll(d.path), d.lock.Close())
}

// sweep removes the directories whose hosts are gone, and ends processes that
// their plugins left. The caller holds the lock of base, so that none is just
// being made or removed.
func sweep(base string) error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), runPrefix) {
			continue
		}
		path := filepath.Join(base, e.Name())
		lock, err := lockFile(filepath.Join(path, runLock), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue // its host lives
		}
		if err != nil {
			return err
		}
		killStrays(path)
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			return err
		}
	}
	return nil
}

// lockFile opens and locks the file at path; closing it unlocks it, and so
// does the end of the process.
func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// checkPrivate refuses a directory in which others could put sockets.
func checkPrivate(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("run directory %s belongs to user %d, not to %d who runs this: choose another", dir, st.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("run directory %s can be written by others (%s): chmod 700 it, or choose another: %w", dir, info.Mode(), fs.ErrPermission)
	}
	return nil
}

func socketPathMax() int {
	if runtime.GOOS == "linux" {
		return 107
	}
	return 103
}
