package state

import (
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Ring is an ordered list of entries of which only the newest are kept.
type Ring struct {
	db    *bolt.DB
	name  []byte
	limit uint64
}

// Ring returns the ring called name, which keeps the entries whose sequence
// numbers are the last limit ones.
func (s *Store) Ring(name string, limit int) (*Ring, error) {
	r := &Ring{db: s.db, name: []byte(name), limit: uint64(max(limit, 1))}
	err := s.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.Bucket(ringsBucket).CreateBucketIfNotExists(r.name)
		return err
	})
	return r, r.wrap(err)
}

// Append writes entries, the first under the sequence number first and the
// others under those that follow, in one transaction; they are on disk when it
// returns. Entries that are no longer among the newest are removed.
func (r *Ring) Append(first uint64, entries [][]byte) error {
	return r.wrap(r.db.Update(func(tx *bolt.Tx) error {
		b := r.bucket(tx)
		for i, data := range entries {
			if err := b.Put(sequenceKey(first+uint64(i)), data); err != nil {
				return err
			}
		}
		c := b.Cursor()
		newest, _ := c.Last()
		if newest == nil {
			return nil
		}
		last := binary.BigEndian.Uint64(newest)
		for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k)+r.limit <= last; k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Read calls fn for up to limit entries with a sequence number above after, in
// order, until fn returns an error. data is valid only during the call.
func (r *Ring) Read(after uint64, limit int, fn func(seq uint64, data []byte) error) error {
	return r.wrap(r.db.View(func(tx *bolt.Tx) error {
		c := r.bucket(tx).Cursor()
		k, data := c.Seek(sequenceKey(after + 1))
		for ; k != nil && limit > 0; k, data = c.Next() {
			if err := fn(binary.BigEndian.Uint64(k), data); err != nil {
				return err
			}
			limit--
		}
		return nil
	}))
}

// Last returns the highest sequence number that was appended or reserved, 0 in
// a new ring.
func (r *Ring) Last() (last uint64, err error) {
	err = r.db.View(func(tx *bolt.Tx) error {
		b := r.bucket(tx)
		last = b.Sequence()
		if k, _ := b.Cursor().Last(); k != nil {
			last = max(last, binary.BigEndian.Uint64(k))
		}
		return nil
	})
	return last, r.wrap(err)
}

// Reserve makes Last return at least seq, or exactly the last appended number
// if seq is lower: who hands out numbers before they are on disk reserves them
// first, so that none is used twice after a crash, and gives back the rest.
func (r *Ring) Reserve(seq uint64) error {
	return r.wrap(r.db.Update(func(tx *bolt.Tx) error { return r.bucket(tx).SetSequence(seq) }))
}

func (r *Ring) bucket(tx *bolt.Tx) *bolt.Bucket { return tx.Bucket(ringsBucket).Bucket(r.name) }

func (r *Ring) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state: ring %q: %w", r.name, err)
}

// sequenceKey orders keys by number.
func sequenceKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }
