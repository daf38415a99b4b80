package cache

import (
	"bytes"
	"encoding/json"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// evictAtOnce bounds what one transaction removes, in bytes.
const evictAtOnce = 8 << 20

// evict makes room until the file uses no more than it may. The caller holds
// flushing, or is alone.
func (c *Cache) evict() error {
	used, _, err := c.store.file.Used()
	if err != nil {
		return err
	}
	for used > c.max {
		removed := 0
		err := c.store.file.DB.Update(func(tx *bolt.Tx) (err error) {
			// Records fill pages to three quarters or more.
			removed, err = evictSome(tx, min((used-c.max*9/10)*3/4, evictAtOnce))
			if err == nil && used > 2*c.max {
				err = repack(tx)
			}
			return err
		})
		if err != nil || removed == 0 {
			return err
		}
		c.evicted.Add(uint64(removed))
		if used, _, err = c.store.file.Used(); err != nil {
			return err
		}
	}
	c.roomy.Store(used < c.max/2)
	return nil
}

// repack writes the numbers of images anew. They are in the order of digests,
// so that images of one age are everywhere, and where most are removed pages
// stay that hold next to nothing.
func repack(tx *bolt.Tx) error {
	var keys, values [][]byte
	err := tx.Bucket([]byte(imageNumbers)).ForEach(func(key, value []byte) error {
		keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
		return nil
	})
	if err != nil {
		return err
	}
	if err := tx.DeleteBucket([]byte(imageNumbers)); err != nil {
		return err
	}
	b, err := tx.CreateBucket([]byte(imageNumbers))
	if err != nil {
		return err
	}
	for i, key := range keys {
		if err := b.Put(key, values[i]); err != nil {
			return err
		}
	}
	return nil
}

// evictSome removes images of about want bytes, or if there are none the
// repositories that were not seen for longest, and returns how many records.
func evictSome(tx *bolt.Tx, want int64) (removed int, err error) {
	if removed, err = evictImages(tx, want); removed > 0 || err != nil {
		return removed, err
	}
	all, err := readRepositories(tx)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b Repository) int { return a.Seen.Compare(b.Seen) })
	for _, r := range all {
		n, size, err := removeRepository(tx, r.Key.id())
		if removed += n; err != nil {
			return removed, err
		}
		if want -= size; want <= 0 {
			break
		}
	}
	return removed, nil
}

// evictImages removes images in the order of their numbers.
func evictImages(tx *bolt.Tx, want int64) (removed int, err error) {
	b, numbers := tx.Bucket([]byte(images)), tx.Bucket([]byte(imageNumbers))
	var old, digests [][]byte
	cursor := b.Cursor()
	for key, sealed := cursor.First(); key != nil && want > 0; key, sealed = cursor.Next() {
		old = append(old, key)
		want -= int64(len(key) + len(sealed))
		if digest, ok := digestAt(numbers, key, sealed); ok {
			digests = append(digests, digest)
			want -= int64(len(digest) + len(key))
		}
	}
	// Only now, because a removal moves what the cursor points to.
	if err := removeAll(b, old); err != nil {
		return 0, err
	}
	return len(old), removeAll(numbers, digests)
}

// digestAt returns the digest key of an image record, if that leads to it.
func digestAt(numbers *bolt.Bucket, key, sealed []byte) (digest []byte, ok bool) {
	data, err := unseal(place{images, string(key)}, sealed)
	var r imageRecord
	if err != nil || json.Unmarshal(data, &r) != nil {
		return nil, false
	}
	digest = []byte(digestKey(r.Digest))
	number, err := unseal(place{imageNumbers, string(digest)}, numbers.Get(digest))
	return digest, err == nil && bytes.Equal(number, key)
}

// removeRepository removes all that is known of a repository but the images,
// and returns how many records and bytes that was.
func removeRepository(tx *bolt.Tx, id string) (removed int, size int64, err error) {
	for _, name := range ofRepository() {
		b := tx.Bucket([]byte(name))
		var keys [][]byte
		for key, value := range withPrefix(b, id) {
			keys = append(keys, key)
			size += int64(len(key) + len(value))
		}
		if err := removeAll(b, keys); err != nil {
			return removed, size, err
		}
		removed += len(keys)
	}
	return removed, size, nil
}
