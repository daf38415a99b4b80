package cache

import (
	"encoding/json"
	"errors"
	"fmt"
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
		d, err = decodeDigest(data)
	}
	if err != nil {
		c.lost(p, k.String()+":"+tag, err)
	}
	d.Tag = tag
	return d, c.count(err == nil)
}

// PutDigests records what tags point to. A zero At is now.
func (c *Cache) PutDigests(k Key, found ...Digest) error {
	records := make(map[place][]byte, len(found)+1)
	id := k.id()
	for _, d := range found {
		if err := errors.Join(checkTag(d.Tag), checkDigest(d.Digest)); err != nil {
			return fmt.Errorf("%s:%.*s: %w", k, maxTag, d.Tag, err)
		}
		if d.At.IsZero() {
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
	return ts.append(append([]byte{form}, data...), d.At)
}

func decodeDigest(data []byte) (Digest, error) {
	r := &reader{data: data}
	text := r.appendDigest(nil, r.byte())
	var ts times
	d := Digest{Digest: string(text), At: ts.read(r)}
	if len(r.data) != 0 || len(text) == 0 {
		r.fail("digest")
	}
	if r.err != nil {
		return Digest{}, r.err
	}
	return d, nil
}

// Negative returns why a tag, or with an empty tag the repository, is not to
// be asked for. ok tells whether that is still so; n is also filled for a week
// after its time, for the number of failures.
func (c *Cache) Negative(k Key, tag string) (n Negative, ok bool) {
	p := place{negatives, k.id() + tag}
	data, err := c.store.get(p)
	if data == nil && err == nil {
		return Negative{}, false
	}
	if err == nil {
		err = json.Unmarshal(data, &n)
	}
	if err != nil {
		c.lost(p, k.String()+":"+tag, err)
		return Negative{}, false
	}
	return n, time.Now().Before(n.Until)
}

// PutNegative records a failure; a zero n forgets it.
func (c *Cache) PutNegative(k Key, tag string, n Negative) error {
	if len(tag) > maxTag {
		return fmt.Errorf("%s:%.*s: %w", k, maxTag, tag, errTag)
	}
	p := place{negatives, k.id() + tag}
	if n == (Negative{}) {
		return c.put(map[place][]byte{p: nil})
	}
	n.Reason = n.Reason[:min(len(n.Reason), maxText)]
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("image cache: %s:%s: %w", k, tag, err)
	}
	return c.putAbout(k, map[place][]byte{p: data})
}

// forgetFailures removes what nobody counts any more.
func forgetFailures(b *bolt.Bucket, now time.Time) error {
	var old [][]byte
	err := b.ForEach(func(key, sealed []byte) error {
		data, err := unseal(place{negatives, string(key)}, sealed)
		var n Negative
		if err != nil || json.Unmarshal(data, &n) != nil || now.Sub(n.Until) > forgottenAfter {
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
