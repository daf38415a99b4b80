package state

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Kind names the records of one type, each of them JSON under an ID of its
// own. It is declared once, as a constant:
//
//	const suspensions state.Kind[Suspension] = "suspension"
//
// A field that is added to T reads as its zero value from older records; a
// change of meaning needs a new name.
type Kind[T any] string

// Get returns the record of id, and whether there is one.
func (k Kind[T]) Get(s *Store, id string) (record T, ok bool, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(kindsBucket).Bucket([]byte(k))
		if b == nil {
			return nil
		}
		data := b.Get([]byte(id))
		if data == nil {
			return nil
		}
		ok = true
		return json.Unmarshal(data, &record)
	})
	if err != nil {
		return record, false, k.wrap(id, err)
	}
	return record, ok, nil
}

// IDs returns the IDs of all records, sorted.
func (k Kind[T]) IDs(s *Store) ([]string, error) {
	var ids []string
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(kindsBucket).Bucket([]byte(k))
		if b == nil {
			return nil
		}
		return b.ForEach(func(id, _ []byte) error {
			ids = append(ids, string(id))
			return nil
		})
	})
	return ids, k.wrap("", err)
}

// Put writes the record of id; it is on disk when Put returns.
func (k Kind[T]) Put(s *Store, id string, record T) error {
	return s.Write([]Change{k.Change(id, record)})
}

// Delete removes the record of id, if there is one.
func (k Kind[T]) Delete(s *Store, id string) error {
	return s.Write([]Change{k.Removal(id)})
}

// Change is the writing or the removal of one record, for Store.Write.
type Change struct {
	kind, id string
	record   any // nil: remove it
}

// Change returns the writing of record under id.
func (k Kind[T]) Change(id string, record T) Change {
	return Change{kind: string(k), id: id, record: &record}
}

// Removal returns the removal of the record of id, if there is one.
func (k Kind[T]) Removal(id string) Change { return Change{kind: string(k), id: id} }

// Write makes all the changes, in their order, or none. They are on disk when
// it returns; many changes cost hardly more than one.
func (s *Store) Write(changes []Change) error {
	encoded := make([][]byte, len(changes))
	for i, c := range changes {
		if c.record == nil {
			continue
		}
		var err error
		if encoded[i], err = json.Marshal(c.record); err != nil {
			return c.wrap(err)
		}
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for i, c := range changes {
			if err := c.wrap(c.write(tx, encoded[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c Change) write(tx *bolt.Tx, data []byte) error {
	b, err := tx.Bucket(kindsBucket).CreateBucketIfNotExists([]byte(c.kind))
	if err != nil {
		return err
	}
	if c.record == nil {
		return b.Delete([]byte(c.id))
	}
	return b.Put([]byte(c.id), data)
}

func (c Change) wrap(err error) error { return Kind[any](c.kind).wrap(c.id, err) }

func (k Kind[T]) wrap(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state: %s %q: %w", string(k), id, err)
}
