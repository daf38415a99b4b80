// Package state remembers, across restarts, what git and the cluster do not
// tell: the last good revision of a node, who suspended it and why, approvals,
// recent events. It is one bbolt file in the daemon's data directory.
//
// Nothing in it is the only copy of something that matters, so a damaged file
// is moved aside with a warning and a new one begun: losing it costs a rescan
// and the suspensions. A record that has been written survives a kill at any
// moment. All types are safe for concurrent use within one process; a second
// process is refused with a *LockedError.
package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// format is the version of what the file holds.
const format = 1

const (
	fileName = "state.db"
	pidName  = "state.pid"
)

var (
	metaBucket  = []byte("meta")
	kindsBucket = []byte("kinds") // kind -> id -> JSON
	ringsBucket = []byte("rings") // name -> sequence -> bytes
	formatKey   = []byte("format")
)

// Options configures Open. The zero value is useful.
type Options struct {
	// LockTimeout is how long to wait for another process to let go of the
	// directory. Default 1 s.
	LockTimeout time.Duration
	// Logger hears of a damaged file. Default slog.Default().
	Logger *slog.Logger
}

// LockedError says that another process has the data directory.
type LockedError struct {
	Dir string
	PID int // of the other process; 0 if unknown
}

func (e *LockedError) Error() string {
	who := "another sluice"
	if e.PID != 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return fmt.Sprintf("%s is running with data_dir %s: stop it, or set another data_dir", who, e.Dir)
}

// Store is an open state file.
type Store struct {
	db  *bolt.DB
	pid string
}

// Open opens the state of the data directory dir, and makes both if needed.
// The caller owes the store a Close.
func Open(dir string, o Options) (*Store, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state: data_dir: %w", err)
	}
	path := filepath.Join(dir, fileName)
	db, err := openSound(path, o)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, &LockedError{Dir: dir, PID: readPID(filepath.Join(dir, pidName))}
	}
	if err != nil {
		return nil, fmt.Errorf("state: %s: %w", path, err)
	}
	s := &Store{db: db, pid: filepath.Join(dir, pidName)}
	if err := s.init(); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %s: %w", path, err), s.Close())
	}
	return s, nil
}

// Close writes everything out and lets go of the directory.
func (s *Store) Close() error {
	if err := os.Remove(s.pid); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("state: %w", err), s.db.Close())
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("state: close: %w", err)
	}
	return nil
}

// init makes the buckets and tells other processes who has the lock.
func (s *Store) init() error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, kindsBucket, ringsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if have := meta.Get(formatKey); have != nil && binary.BigEndian.Uint64(have) > format {
			return fmt.Errorf("written by a newer sluice (format %d, this one knows %d): upgrade, or remove the file",
				binary.BigEndian.Uint64(have), format)
		}
		return meta.Put(formatKey, sequenceKey(format))
	})
	if err != nil {
		return err
	}
	return os.WriteFile(s.pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
}

// openSound opens the file at path, after moving a damaged one aside.
func openSound(path string, o Options) (*bolt.DB, error) {
	db, err := openChecked(path, o.LockTimeout)
	damage, damaged := errors.AsType[*damagedError](err)
	if !damaged {
		return db, err
	}
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("damaged (%w) and cannot be moved aside: %w", damage, err)
	}
	o.Logger.Warn("the state file is damaged: moved aside, starting with an empty one; suspensions and recent events are lost",
		"file", path, "moved_to", aside, "err", damage)
	return openChecked(path, o.LockTimeout)
}

// damagedError says that a file is no sound bbolt database.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// openChecked opens the file at path and checks all of it, since bbolt trusts
// what it reads: a damaged page would bring the daemon down later.
func openChecked(path string, timeout time.Duration) (db *bolt.DB, err error) {
	// A page number that is damaged can lead bbolt outside of the mapped file.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			// bbolt's lock is on the file that is about to be moved aside.
			db, err = nil, &damagedError{fmt.Errorf("%v", r)}
		}
	}()
	db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: timeout, FreelistType: bolt.FreelistMapType})
	switch {
	case errors.Is(err, berrors.ErrTimeout), errors.Is(err, os.ErrPermission):
		return nil, err
	case err != nil && isFile(path):
		return nil, &damagedError{err}
	case err != nil:
		return nil, err
	}
	if err := check(path); err != nil {
		return nil, errors.Join(&damagedError{err}, db.Close())
	}
	return db, nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// readPID returns the process id in the file at path, or 0.
func readPID(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}
