package cache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-gitops/sluice/core/state/boltfile"
)

// The buckets of the file.
const (
	repositories = "repositories"  // repository ID -> JSON of a repositoryRecord
	listings     = "listings"      // repository ID -> encoded tags
	digests      = "digests"       // repository ID, tag -> encoded digest
	negatives    = "negatives"     // repository ID, tag -> JSON of a Negative
	images       = "images"        // number, higher if used later -> JSON of an imageRecord
	imageNumbers = "image-numbers" // digest -> number
	notes        = "notes"         // repository ID -> what the scanner wants to know later
)

// ofRepository are the buckets whose keys begin with a repository ID.
func ofRepository() []string { return []string{repositories, listings, digests, negatives, notes} }

func buckets() []string { return append(ofRepository(), images, imageNumbers) }

const (
	flushAt   = 4 << 20  // bytes to be written at which a flush does not wait
	refuseAt  = 64 << 20 // bytes to be written at which there is something wrong with the disk
	perRecord = 64       // bytes that a record takes besides its key and value, in memory
)

// place is where a record is.
type place struct{ bucket, key string }

// store is a key-value store of which writes are seen at once and go to disk
// later, in the order of their places and all together.
type store struct {
	file *boltfile.File

	flushing sync.Mutex // held by who writes to the file

	mu      sync.RWMutex
	pending map[place][]byte // to be written; nil: to be removed
	writing map[place][]byte // being written
	size    int              // of pending
	failed  error            // the last flush did
	closed  bool
}

// put sets records, or removes those whose value is nil, together.
func (s *store) put(records map[place][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.size > refuseAt {
		return fmt.Errorf("image cache: %d MiB cannot be written: %w", s.size>>20, cmp.Or(s.failed, errors.New("the disk is too slow")))
	}
	for p, value := range records {
		old, ok := s.pending[p]
		if ok {
			s.size -= sizeOf(p, old)
		}
		s.pending[p] = seal(p, value)
		s.size += sizeOf(p, s.pending[p])
	}
	return nil
}

func sizeOf(p place, value []byte) int { return perRecord + len(p.key) + len(value) }

// get returns a copy of a record, or nil. An error says that it is damaged.
func (s *store) get(p place) ([]byte, error) {
	s.mu.RLock()
	value, ok := s.pending[p]
	if !ok {
		value, ok = s.writing[p]
	}
	s.mu.RUnlock()
	if !ok {
		err := s.file.DB.View(func(tx *bolt.Tx) error {
			value = bytes.Clone(tx.Bucket([]byte(p.bucket)).Get([]byte(p.key)))
			return nil
		})
		if err != nil {
			return nil, nil // closed
		}
	}
	if value == nil {
		return nil, nil
	}
	return unseal(p, value)
}

// each calls visit for all records of a bucket whose keys begin with prefix, in
// no order. The value, which is sealed, is valid during the call.
func (s *store) each(bucket, prefix string, visit func(p place, sealed []byte)) {
	newer := map[place][]byte{}
	s.mu.RLock()
	for _, records := range []map[place][]byte{s.writing, s.pending} {
		for p, value := range records {
			if p.bucket == bucket && strings.HasPrefix(p.key, prefix) {
				newer[p] = value
			}
		}
	}
	s.mu.RUnlock()
	// After Close there is nothing to read, and the error says only that.
	_ = s.file.DB.View(func(tx *bolt.Tx) error {
		for key, value := range withPrefix(tx.Bucket([]byte(bucket)), prefix) {
			p := place{bucket, string(key)}
			if _, ok := newer[p]; !ok {
				visit(p, value)
			}
		}
		return nil
	})
	for p, value := range newer {
		if value != nil {
			visit(p, value)
		}
	}
}

// flush writes to disk what is pending. If that fails, it stays pending.
func (s *store) flush() error {
	s.mu.Lock()
	s.writing, s.pending, s.size = s.pending, map[place][]byte{}, 0
	records := s.writing
	s.mu.Unlock()
	var err error
	if len(records) > 0 {
		err = s.write(records)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		maps.Copy(records, s.pending) // what was put meanwhile is newer
		s.pending, s.size = records, 0
		for p, value := range records {
			s.size += sizeOf(p, value)
		}
	}
	s.writing, s.failed = nil, err
	return err
}

// write makes one transaction of records, in the order in which they lie in
// the file.
func (s *store) write(records map[place][]byte) error {
	places := slices.SortedFunc(maps.Keys(records), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key))
	})
	return s.file.DB.Update(func(tx *bolt.Tx) error {
		for _, p := range places {
			b := tx.Bucket([]byte(p.bucket))
			if p.bucket == images {
				b.FillPercent = 0.95 // always appended to
			}
			if err := set(b, []byte(p.key), records[p]); err != nil {
				return err
			}
		}
		return nil
	})
}

func set(b *bolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksumSize is what seal adds.
const checksumSize = 4

// seal adds a checksum over place and value: bbolt has none, and a flipped bit
// in a digest would be believed.
func seal(p place, value []byte) []byte {
	if value == nil {
		return nil
	}
	sealed := make([]byte, 0, len(value)+checksumSize)
	return binary.BigEndian.AppendUint32(append(sealed, value...), checksum(p, value))
}

func unseal(p place, sealed []byte) ([]byte, error) {
	n := len(sealed) - checksumSize
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(p, sealed[:n]) {
		return nil, fmt.Errorf("%w: checksum", errEncoding)
	}
	return sealed[:n], nil
}

func checksum(p place, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(p.bucket+"\x00"+p.key))
	return crc32.Update(sum, castagnoli, value)
}
