package cache

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

// Repositories returns what there is, in the order of host, path and
// credential.
func (c *Cache) Repositories() iter.Seq2[Repository, error] {
	return func(yield func(Repository, error) bool) {
		all, err := c.snapshot()
		if err != nil {
			yield(Repository{}, err)
			return
		}
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// snapshot writes out what has been put and returns all repositories.
func (c *Cache) snapshot() (all []Repository, err error) {
	if err := c.Flush(); err != nil {
		return nil, err
	}
	err = c.view(func(tx *bolt.Tx) (err error) {
		all, err = readRepositories(tx)
		return err
	})
	return all, err
}

func (c *Cache) view(read func(tx *bolt.Tx) error) error {
	return wrap(c.store.file.DB.View(read))
}

// readRepositories returns all repositories but damaged ones, sorted.
func readRepositories(tx *bolt.Tx) ([]Repository, error) {
	var all []Repository
	err := tx.Bucket([]byte(repositories)).ForEach(func(key, sealed []byte) error {
		data, err := unseal(place{repositories, string(key)}, sealed)
		if err != nil {
			return nil
		}
		if r, err := readRepository(data); err == nil {
			all = append(all, r.Repository)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Repository) int {
		return cmp.Or(strings.Compare(a.Key.Host, b.Key.Host), strings.Compare(a.Key.Repository, b.Key.Repository),
			strings.Compare(a.Key.Credential, b.Key.Credential))
	})
	return all, err
}

// withPrefix returns the records whose keys begin with prefix. Nothing may be
// written to the bucket meanwhile.
func withPrefix(b *bolt.Bucket, prefix string) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		cursor := b.Cursor()
		for key, value := cursor.Seek([]byte(prefix)); key != nil && bytes.HasPrefix(key, []byte(prefix)); key, value = cursor.Next() {
			if !yield(key, value) {
				return
			}
		}
	}
}

// Stats counts what there is. It reads some of every page of the file.
func (c *Cache) Stats() (Stats, error) {
	failed := c.Flush()
	if errors.Is(failed, ErrClosed) {
		return Stats{}, failed
	}
	s := Stats{
		File: c.store.file.Path(), MaxBytes: c.max,
		Hits: c.hits.Load(), Misses: c.misses.Load(), Evicted: c.evicted.Load(), Damaged: c.damaged.Load(),
	}
	if failed != nil {
		s.WriteError = failed.Error()
	}
	var err error
	if s.UsedBytes, s.FileBytes, err = c.store.file.Used(); err != nil {
		return Stats{}, wrap(err)
	}
	return s, c.view(s.read)
}

// read counts the records of the file.
func (s *Stats) read(tx *bolt.Tx) error {
	for name, count := range map[string]*Count{listings: &s.Listings, digests: &s.Digests, images: &s.Images, negatives: &s.Negatives} {
		stats := tx.Bucket([]byte(name)).Stats()
		*count = Count{Entries: stats.KeyN, Bytes: int64(stats.LeafInuse + stats.BranchInuse + stats.InlineBucketInuse)}
	}
	all, err := readRepositories(tx)
	for _, r := range all {
		s.Tags += r.Tags
		if s.Oldest.IsZero() || r.Seen.Before(s.Oldest) {
			s.Oldest = r.Seen
		}
	}
	return err
}

// Clear forgets everything about the repositories whose host/path matches the
// glob, see ref.Globs, also the images that their tags point to, and returns how much that
// was. The pattern "*" forgets all. The file keeps its size until it is opened
// the next time.
func (c *Cache) Clear(pattern string) (Stats, error) {
	before, err := c.Stats()
	if err != nil {
		return Stats{}, err
	}
	c.putting.Lock()
	defer c.putting.Unlock()
	if err := c.Flush(); err != nil {
		return Stats{}, err
	}
	c.store.flushing.Lock()
	err = c.store.file.DB.Update(func(tx *bolt.Tx) error {
		if pattern == "*" {
			return recreate(tx)
		}
		return clearMatching(tx, pattern)
	})
	c.store.flushing.Unlock()
	if err != nil {
		return Stats{}, wrap(err)
	}
	after, err := c.Stats()
	return before.minus(after), err
}

// minus returns the records that s has and after has not.
func (s Stats) minus(after Stats) Stats {
	less := func(a, b Count) Count { return Count{Entries: a.Entries - b.Entries, Bytes: a.Bytes - b.Bytes} }
	return Stats{
		File: s.File, FileBytes: after.FileBytes, UsedBytes: s.UsedBytes - after.UsedBytes, MaxBytes: s.MaxBytes,
		Listings: less(s.Listings, after.Listings), Tags: s.Tags - after.Tags, Digests: less(s.Digests, after.Digests),
		Images: less(s.Images, after.Images), Negatives: less(s.Negatives, after.Negatives),
	}
}

// recreate empties all buckets.
func recreate(tx *bolt.Tx) error {
	for _, name := range buckets() {
		if err := tx.DeleteBucket([]byte(name)); err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func clearMatching(tx *bolt.Tx, pattern string) error {
	all, err := readRepositories(tx)
	if err != nil {
		return err
	}
	for _, r := range all {
		if !(ref.Globs{pattern}).Match(r.Key.String()) {
			continue
		}
		if err := clearImages(tx, r.Key.id()); err != nil {
			return err
		}
		if _, _, err := removeRepository(tx, r.Key.id()); err != nil {
			return err
		}
	}
	return nil
}

// clearImages removes the images that the tags of a repository point to.
func clearImages(tx *bolt.Tx, id string) error {
	byNumber, numbers := tx.Bucket([]byte(images)), tx.Bucket([]byte(imageNumbers))
	for key, sealed := range withPrefix(tx.Bucket([]byte(digests)), id) {
		data, err := unseal(place{digests, string(key)}, sealed)
		if err != nil {
			continue
		}
		d, err := decodeDigest("", data)
		if err != nil {
			continue
		}
		if err := clearImage(byNumber, numbers, digestKey(d.Digest)); err != nil {
			return err
		}
	}
	return nil
}

func clearImage(byNumber, numbers *bolt.Bucket, digest string) error {
	sealed := numbers.Get([]byte(digest))
	if sealed == nil {
		return nil
	}
	if number, err := unseal(place{imageNumbers, digest}, sealed); err == nil {
		if err := byNumber.Delete(number); err != nil {
			return err
		}
	}
	return numbers.Delete([]byte(digest))
}
