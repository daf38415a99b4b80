package cache

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	maxTexts  = 16 << 10  // bytes of labels, and of annotations, that are kept whatever they are
	maxText   = 1 << 10   // bytes of each of the standard ones beyond that
	maxImage  = 256 << 10 // bytes of the JSON of an image
	usedEvery = time.Hour // how exactly it is known when an image was used
)

// standard are the labels and annotations that a policy may look at.
var standard = []string{"org.opencontainers.image.", "org.label-schema."}

// imageRecord is an Image with when it was used.
type imageRecord struct {
	Used time.Time `json:"used"`
	Image
}

// Image returns what is behind a digest.
func (c *Cache) Image(digest string) (Image, bool) {
	number, r, ok := c.image(digest)
	if !c.count(ok) {
		return Image{}, false
	}
	if !c.roomy.Load() && time.Since(r.Used) > usedEvery {
		c.used(number, r)
	}
	return r.Image, true
}

// image returns the record of an image and its number.
func (c *Cache) image(digest string) (number uint64, r imageRecord, ok bool) {
	p := place{imageNumbers, digestKey(digest)}
	key, err := c.store.get(p)
	if err != nil {
		c.lost(p, digest, err)
	}
	if key == nil || err != nil {
		return 0, r, false
	}
	p = place{images, string(key)}
	data, err := c.store.get(p)
	if data == nil && err == nil {
		return 0, r, false // evicted
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		c.lost(p, digest, err)
		return 0, r, false
	}
	return numberOf(key), r, r.Digest == digest
}

// used moves an image behind all others, which makes it the last to be
// evicted.
func (c *Cache) used(number uint64, r imageRecord) {
	c.putting.Lock()
	defer c.putting.Unlock()
	if now, current, ok := c.image(r.Digest); !ok || now != number {
		return // somebody else was faster
	} else {
		r = current
	}
	records := map[place][]byte{}
	r.Used = time.Now()
	if err := c.append(records, number, r); err != nil {
		return
	}
	_ = c.put(records) // closed, or a disk that fails: it was only a note
}

// PutImages records images by their digests. Of labels beyond 16 KiB, and of
// annotations, only those of the OCI image specification and of
// label-schema.org are kept, and of these as many as fit.
func (c *Cache) PutImages(images ...Image) error {
	c.putting.Lock()
	defer c.putting.Unlock()
	records := map[place][]byte{}
	for _, image := range images {
		if err := checkDigest(image.Digest); err != nil {
			return err
		}
		number, _, found := c.image(image.Digest)
		if !found {
			number = 0
		}
		image.Labels, image.Annotations = bounded(image.Labels), bounded(image.Annotations)
		if !storable(image.Created) {
			image.Created = time.Time{}
		}
		if err := c.append(records, number, imageRecord{Used: time.Now(), Image: image}); err != nil {
			return err
		}
	}
	return c.put(records)
}

// append adds the record of an image under the next number, and removes it
// from the one that it had, if that is not 0. The caller holds putting.
func (c *Cache) append(records map[place][]byte, old uint64, r imageRecord) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("image cache: %s: %w", r.Digest, err)
	}
	if len(data) > maxImage {
		return fmt.Errorf("image cache: %s: %d KiB of platforms", r.Digest, len(data)>>10)
	}
	if old != 0 {
		records[place{images, numberKey(old)}] = nil
	}
	key := numberKey(c.number)
	c.number++
	records[place{images, key}] = data
	records[place{imageNumbers, digestKey(r.Digest)}] = []byte(key)
	return nil
}

// bounded returns what is kept of labels or annotations.
func bounded(texts map[string]string) map[string]string {
	size := 0
	for key, text := range texts {
		size += len(key) + len(text)
	}
	if size <= maxTexts {
		return texts
	}
	kept := map[string]string{}
	room := maxTexts
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		size := len(key) + len(texts[key])
		if isStandard(key) && size <= maxText && size <= room {
			kept[key] = texts[key]
			room -= size
		}
	}
	return kept
}

func isStandard(key string) bool {
	for _, prefix := range standard {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}

func checkDigest(digest string) error {
	if form, _ := shortDigest(digest); form == digestNone {
		return fmt.Errorf("image cache: %q is no digest", digest[:min(len(digest), maxDigest)])
	}
	return nil
}

// digestKey returns the key of an image; different digests have different ones.
func digestKey(digest string) string {
	form, data := shortDigest(digest)
	return string(form) + string(data)
}

func numberKey(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

// numberOf returns the number of a key, 0 if it is none.
func numberOf(key []byte) uint64 {
	if len(key) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}
