package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// forgottenAfter is how long a failure is remembered after its time, so that
// the next one can be counted on top of it.
const forgottenAfter = 7 * 24 * time.Hour

var errTag = errors.New("image cache: no reference can have this tag")

// Digest returns what a tag pointed to when the registry was asked last.
func (c *Cache) Digest(k Key, tag string) (Digest, bool) {
	p := place{digests, k.id() + tag}
	data, err := c.store.get(p)
	if data == nil && err == nil {
		return Digest{}, c.count(false)
	}
	var d Digest
	if err == nil {
		d, err = decodeDigest(tag, data)
	}
	if err != nil {
		c.lost(p, k.String()+":"+tag, err)
	}
	return d, c.count(err == nil)
}

// Digests returns what all tags of a repository pointed to when the registry
// was asked last, by tag.
func (c *Cache) Digests(k Key) map[string]Digest { return about(c, digests, k, decodeDigest) }

// about returns all records of a repository, by tag.
func about[T any](c *Cache, bucket string, k Key, decode func(tag string, data []byte) (T, error)) map[string]T {
	found := map[string]T{}
	damaged := map[place]error{}
	c.store.each(bucket, k.id(), func(p place, sealed []byte) {
		tag := p.key[idSize:]
		data, err := unseal(p, sealed)
		if err == nil {
			found[tag], err = decode(tag, data)
		}
		if err != nil {
			delete(found, tag)
			damaged[p] = err
		}
	})
	for p, err := range damaged {
		c.lost(p, k.String()+":"+p.key[idSize:], err)
	}
	return found
}

// PutDigests records what tags point to. A zero At is now.
func (c *Cache) PutDigests(k Key, found ...Digest) error {
	records := make(map[place][]byte, len(found)+1)
	id := k.id()
	for _, d := range found {
		if err := errors.Join(checkTag(d.Tag), checkDigest(d.Digest)); err != nil {
			return fmt.Errorf("%s:%.*s: %w", k, maxTag, d.Tag, err)
		}
		if !storable(d.At) {
			d.At = time.Now()
		}
		records[place{digests, id + d.Tag}] = encodeDigest(d)
	}
	return c.putAbout(k, records)
}

// putAbout puts records of the repository k.
func (c *Cache) putAbout(k Key, records map[place][]byte) error {
	c.putting.Lock()
	defer c.putting.Unlock()
	if err := c.see(k, records); err != nil {
		return err
	}
	return c.put(records)
}

func checkTag(tag string) error {
	if tag == "" || len(tag) > maxTag {
		return errTag
	}
	return nil
}

func encodeDigest(d Digest) []byte {
	form, data := shortDigest(d.Digest)
	var ts times
	data = ts.append(append([]byte{form}, data...), d.At)
	data = binary.AppendUvarint(data, uint64(max(d.Moves, 0)))
	if storable(d.Changed) {
		data = ts.append(data, d.Changed)
	}
	return data
}

func decodeDigest(tag string, data []byte) (Digest, error) {
	r := &reader{data: data}
	text := r.appendDigest(nil, r.byte())
	var ts times
	d := Digest{Tag: tag, Digest: string(text), At: ts.read(r), Moves: int(min(r.uvarint(), math.MaxInt32))}
	if len(r.data) > 0 {
		d.Changed = ts.read(r)
	}
	if len(r.data) != 0 || len(text) == 0 {
		r.fail("digest")
	}
	if r.err != nil {
		return Digest{}, r.err
	}
	return d, nil
}

// Negatives returns which tags of a repository, or with the empty tag the
// repository itself, are not to be asked for, by tag. Those whose Until is over
// are among them for a week, for the number of failures.
func (c *Cache) Negatives(k Key) map[string]Negative { return about(c, negatives, k, decodeNegative) }

func decodeNegative(_ string, data []byte) (n Negative, err error) {
	err = json.Unmarshal(data, &n)
	return n, err
}

// PutNegatives records failures by tag; a zero one forgets. A repository that
// cannot be asked at all has the empty tag.
func (c *Cache) PutNegatives(k Key, found map[string]Negative) error {
	records := make(map[place][]byte, len(found)+1)
	id := k.id()
	for tag, n := range found {
		if len(tag) > maxTag {
			return fmt.Errorf("%s:%.*s: %w", k, maxTag, tag, errTag)
		}
		if n == (Negative{}) {
			records[place{negatives, id + tag}] = nil
			continue
		}
		n.Reason = strings.ToValidUTF8(n.Reason[:min(len(n.Reason), maxText)], "")
		data, err := json.Marshal(n)
		if err != nil {
			return fmt.Errorf("image cache: %s:%s: %w", k, tag, err)
		}
		records[place{negatives, id + tag}] = data
	}
	return c.putAbout(k, records)
}

// forgetFailures removes what nobody counts any more. What is damaged is
// reported when it is read.
func forgetFailures(b *bolt.Bucket, now time.Time) error {
	var old [][]byte
	err := b.ForEach(func(key, sealed []byte) error {
		data, err := unseal(place{negatives, string(key)}, sealed)
		var n Negative
		if err == nil && json.Unmarshal(data, &n) == nil && now.Sub(n.Until) > forgottenAfter {
			old = append(old, key)
		}
		return nil
	})
	return errors.Join(err, removeAll(b, old))
}

// removeAll removes keys, which may be of the same transaction.
func removeAll(b *bolt.Bucket, keys [][]byte) error {
	for _, key := range keys {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// maxNote bounds a note, in bytes.
const maxNote = 64 << 10

// Note returns what PutNote has kept.
func (c *Cache) Note(k Key) ([]byte, bool) {
	p := place{notes, k.id()}
	data, err := c.store.get(p)
	if err != nil {
		c.lost(p, k.String(), err)
	}
	return data, data != nil && err == nil
}

// PutNote keeps up to 64 KiB that are the caller's own about a repository, as
// long as anything of that is kept. An empty note is none.
func (c *Cache) PutNote(k Key, note []byte) error {
	if len(note) > maxNote {
		return fmt.Errorf("image cache: %s: a note of %d KiB", k, len(note)>>10)
	}
	if len(note) == 0 {
		return c.put(map[place][]byte{{notes, k.id()}: nil})
	}
	return c.putAbout(k, map[place][]byte{{notes, k.id()}: note})
}
