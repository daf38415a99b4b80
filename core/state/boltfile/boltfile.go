// Package boltfile opens bbolt files that nobody has to repair by hand. A file
// that is damaged is moved aside with a warning and a new one begun; it is
// checked as a whole before it is used, because bbolt trusts what it reads and
// a damaged page would bring the process down later. One process has the file
// at a time, and another is told which. The file carries the version of its
// content.
package boltfile

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

var (
	metaBucket = []byte("meta") // of this package, in every file
	formatKey  = []byte("format")
)

// Options configures Open.
type Options struct {
	// Format is the version of what the caller keeps in the file.
	Format uint64
	// Lost says what is lost with the file, for the warning.
	Lost string
	// Expendable says that all of it can be had again. Then a file of a newer
	// format is moved aside too, instead of refused, of the files that were
	// moved aside only the newest is kept, and a file that is mostly free is
	// rewritten to its size when it is opened, since bbolt never shrinks one.
	Expendable bool
	// LockTimeout is how long to wait for another process to let go of the
	// file. Default 1 s.
	LockTimeout time.Duration
	// Logger hears of files that are moved aside. Default slog.Default().
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

// File is an open file.
type File struct {
	DB        *bolt.DB
	path, pid string
}

// Open opens the file at path, and makes it and its directory if needed. If
// another process has it, the error is a *LockedError. The caller owes the
// file a Close.
func Open(path string, o Options) (*File, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	pid := strings.TrimSuffix(path, filepath.Ext(path)) + ".pid"
	db, err := open(path, o)
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, &LockedError{Dir: filepath.Dir(path), PID: readPID(pid)}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &File{DB: db, path: path, pid: pid}
	if err := os.WriteFile(pid, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Close waits for open transactions and lets go of the file.
func (f *File) Close() error {
	err := os.Remove(f.pid)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, f.DB.Close())
}

// open opens a sound file of a format that is known.
func open(path string, o Options) (*bolt.DB, error) {
	db, err := openSound(path, o)
	if err != nil {
		return nil, err
	}
	err = setFormat(db, o.Format)
	if newer, ok := errors.AsType[*newerError](err); ok && o.Expendable {
		if err := errors.Join(db.Close(), moveAside(path, "newer", newer, o)); err != nil {
			return nil, err
		}
		return open(path, o)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if o.Expendable && mostlyFree(db, path) {
		return compact(db, path, o)
	}
	return db, nil
}

// newerError says that a newer program has written the file.
type newerError struct{ have, know uint64 }

func (e *newerError) Error() string {
	return fmt.Sprintf("written by a newer sluice (format %d, this one knows %d): upgrade, or remove the file", e.have, e.know)
}

// setFormat writes the format into the file unless a newer one stands there.
func setFormat(db *bolt.DB, format uint64) error {
	return db.Update(func(tx *bolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		if have := meta.Get(formatKey); len(have) == 8 && binary.BigEndian.Uint64(have) > format {
			return &newerError{have: binary.BigEndian.Uint64(have), know: format}
		}
		return meta.Put(formatKey, binary.BigEndian.AppendUint64(nil, format))
	})
}

// openSound opens the file at path, after moving a damaged one aside.
func openSound(path string, o Options) (*bolt.DB, error) {
	db, err := openChecked(path, o.LockTimeout)
	damage, damaged := errors.AsType[*damagedError](err)
	if !damaged {
		return db, err
	}
	if err := moveAside(path, "damaged", damage, o); err != nil {
		return nil, err
	}
	return openChecked(path, o.LockTimeout)
}

// moveAside gives the file at path, which is as a word says, another name.
func moveAside(path, word string, cause error, o Options) error {
	before, err := filepath.Glob(path + "." + word + "-*")
	if err != nil {
		return err
	}
	aside := path + "." + word + "-" + time.Now().UTC().Format("20060102T150405.000000000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("%s (%w) and cannot be moved aside: %w", word, cause, err)
	}
	o.Logger.Warn("a file of the data directory cannot be used: moved aside, starting with an empty one",
		"file", path, "moved_to", aside, "lost", o.Lost, "err", cause)
	if !o.Expendable {
		return nil
	}
	for _, old := range before {
		err = errors.Join(err, os.Remove(old))
	}
	return err
}

// damagedError says that a file is no sound bbolt database.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// openChecked opens the file at path and checks all of it.
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
