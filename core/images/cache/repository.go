package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// idSize is the length of what records of a repository begin with.
const idSize = 16

// seenEvery is how exactly it is known when a repository was written to.
const seenEvery = time.Hour

// id returns what the keys of the records of k begin with.
func (k Key) id() string {
	var text []byte
	for _, part := range []string{k.Host, k.Repository, k.Credential} {
		text = append(binary.AppendUvarint(text, uint64(len(part))), part...)
	}
	sum := sha256.Sum256(text)
	return string(sum[:idSize])
}

// repositoryRecord is a Repository with its key.
type repositoryRecord struct {
	Host       string `json:"host"`
	Path       string `json:"path"`
	Credential string `json:"credential,omitempty"`
	Repository
}

func (r repositoryRecord) key() Key {
	return Key{Host: r.Host, Repository: r.Path, Credential: r.Credential}
}

func readRepository(data []byte) (repositoryRecord, error) {
	var r repositoryRecord
	err := json.Unmarshal(data, &r)
	r.Key = r.key()
	return r, err
}

func (r repositoryRecord) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("image cache: %s: %w", r.key(), err)
	}
	return data, nil
}

// repository returns the record of k, a new one if there is none.
func (c *Cache) repository(k Key) (r repositoryRecord, found bool) {
	p := place{repositories, k.id()}
	data, err := c.store.get(p)
	if data != nil {
		r, err = readRepository(data)
	}
	if err != nil {
		c.lost(p, k.String(), err)
	}
	if data == nil || err != nil || r.Key != k {
		return repositoryRecord{Host: k.Host, Path: k.Repository, Credential: k.Credential}, false
	}
	return r, true
}

// Listing returns the last complete listing of a repository.
func (c *Cache) Listing(k Key) (Listing, bool) {
	r, found := c.repository(k)
	if !found || r.At.IsZero() {
		return Listing{}, c.count(false)
	}
	tags, ok := c.tags(k)
	if !c.count(ok) {
		return Listing{}, false
	}
	return Listing{Tags: tags, At: r.At, Changed: r.Changed, Native: r.Native}, true
}

func (c *Cache) tags(k Key) ([]registry.Tag, bool) {
	p := place{listings, k.id()}
	data, err := c.store.get(p)
	if data == nil && err == nil {
		return nil, false
	}
	var tags []registry.Tag
	if err == nil {
		tags, err = decodeTags(data)
	}
	if err != nil {
		c.lost(p, k.String(), err)
		return nil, false
	}
	return tags, true
}

// PutListing records a complete listing that was read at l.At, and tells
// whether its tags, digests or times differ from the one before, or there was
// none. The order of l.Tags does not matter; of two tags with one name the
// last counts; names that no reference can have are left out. l.Changed is
// ignored. What was known of tags that are gone is forgotten.
func (c *Cache) PutListing(k Key, l Listing) (changed bool, err error) {
	if l.At.IsZero() {
		l.At = time.Now()
	}
	tags := normal(l.Tags)
	encoded := encodeTags(tags)
	if int64(len(encoded)) > c.max/4 {
		return false, fmt.Errorf("image cache: %s: the listing takes %d MiB: set a larger size of the cache", k, len(encoded)>>20)
	}
	c.putting.Lock()
	defer c.putting.Unlock()
	r, _ := c.repository(k)
	before, err := c.store.get(place{listings, k.id()})
	changed = err != nil || before == nil || r.At.IsZero() || string(before) != string(encoded)
	records := map[place][]byte{}
	if changed {
		r.Tags, r.Bytes, r.Changed = len(tags), int64(len(encoded)), l.At
		records[place{listings, k.id()}] = encoded
		c.forgetGone(k, before, tags, records)
	}
	r.At, r.Native, r.Seen = l.At, l.Native, time.Now()
	if records[place{repositories, k.id()}], err = r.encode(); err != nil {
		return false, err
	}
	return changed, c.put(records)
}

// forgetGone adds the removal of what is known of the tags that were in a
// listing and are not any more.
func (c *Cache) forgetGone(k Key, before []byte, tags []registry.Tag, records map[place][]byte) {
	if before == nil {
		return
	}
	old, err := decodeTags(before)
	if err != nil {
		return // it is replaced
	}
	id, now := k.id(), names(tags)
	for _, t := range old {
		if !now[t.Name] {
			records[place{digests, id + t.Name}] = nil
			records[place{negatives, id + t.Name}] = nil
		}
	}
}

func names(tags []registry.Tag) map[string]bool {
	set := make(map[string]bool, len(tags))
	for _, t := range tags {
		set[t.Name] = true
	}
	return set
}

// see adds the record of k if it is missing or was last written long ago.
func (c *Cache) see(k Key, records map[place][]byte) error {
	r, found := c.repository(k)
	now := time.Now()
	if found && now.Sub(r.Seen) < seenEvery && r.Seen.Before(now.Add(seenEvery)) {
		return nil
	}
	r.Seen = now
	data, err := r.encode()
	records[place{repositories, k.id()}] = data
	return err
}
