// Package state remembers, across restarts, what git and the cluster do not
// tell: the last good revision of a node, who suspended it and why, approvals,
// recent events, and what is on its way to git. It is one bbolt file in the
// daemon's data directory.
//
// Nothing in it is the only copy of something that runs, so a damaged file is
// moved aside with a warning and a new one begun: losing it costs a rescan, the
// suspensions, and the changes that were asked for and not pushed yet. A record
// that has been written survives a kill at any
// moment. All types are safe for concurrent use within one process; a second
// process is refused with a *LockedError.
package state

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-gitops/sluice/core/state/boltfile"
)

// format is the version of what the file holds.
const format = 1

const fileName = "state.db"

var (
	kindsBucket = []byte("kinds") // kind -> id -> JSON
	ringsBucket = []byte("rings") // name -> sequence -> bytes
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
type LockedError = boltfile.LockedError

// Store is an open state file.
type Store struct {
	db   *bolt.DB
	file *boltfile.File
}

// Open opens the state of the data directory dir, and makes both if needed.
// The caller owes the store a Close.
func Open(dir string, o Options) (*Store, error) {
	file, err := boltfile.Open(filepath.Join(dir, fileName), boltfile.Options{
		Format: format, Lost: "suspensions, recent events and changes that were not pushed yet", LockTimeout: o.LockTimeout, Logger: o.Logger,
	})
	if locked, ok := errors.AsType[*LockedError](err); ok {
		return nil, locked
	}
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	s := &Store{db: file.DB, file: file}
	if err := s.init(); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %w", err), s.Close())
	}
	return s, nil
}

// Close writes everything out and lets go of the directory.
func (s *Store) Close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("state: close: %w", err)
	}
	return nil
}

// init makes the buckets.
func (s *Store) init() error {
	return s.db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{kindsBucket, ringsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}
