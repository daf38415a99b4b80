package boltfile

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// worthCompacting is the size of a file, in bytes, below which nobody minds
// how much of it is free.
const worthCompacting = 4 << 20

// Used returns how many bytes of the file hold something, as of the last
// write, and how large it is. The rest is used by later writes.
func (f *File) Used() (used, size int64, err error) { return use(f.DB, f.path) }

// use asks neither db.Info nor db.Path, which race with Close.
func use(db *bolt.DB, path string) (used, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, err
	}
	err = db.View(func(tx *bolt.Tx) error {
		used = tx.Size()
		return nil
	})
	s := db.Stats()
	return used - int64(s.FreePageN+s.PendingPageN)*int64(os.Getpagesize()), info.Size(), err
}

func mostlyFree(db *bolt.DB, path string) bool {
	used, size, err := use(db, path)
	return err == nil && size > worthCompacting && used < size/2
}

// compact copies what the file at path holds into one of the right size and
// returns that one, open. If that is not possible, for want of room perhaps,
// it returns db.
func compact(db *bolt.DB, path string, o Options) (*bolt.DB, error) {
	tmp := path + ".compact"
	if err := copyInto(db, tmp); err != nil {
		o.Logger.Warn("a file of the data directory is mostly free, but cannot be rewritten", "file", path, "err", err)
		_ = os.Remove(tmp) // the next one tries it again
		return db, nil
	}
	// Whoever opens the new file before this process does gets its lock, and
	// this one an error that says so.
	if err := errors.Join(os.Rename(tmp, path), db.Close()); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	return openChecked(path, o.LockTimeout)
}

// copyInto copies db into a new file at path and onto the disk.
func copyInto(db *bolt.DB, path string) error {
	if err := ignoreMissing(os.Remove(path)); err != nil {
		return err
	}
	dst, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	const perTransaction = 1 << 20
	return errors.Join(bolt.Compact(dst, db, perTransaction), dst.Sync(), dst.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
