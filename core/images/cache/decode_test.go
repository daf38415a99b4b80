package cache

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

var examples = [][]registry.Tag{
	nil,
	{{Name: "a"}},
	{{Name: "1.0", Digest: "sha256:" + strings.Repeat("0a", 32)}, {Name: "1.0.1", Digest: "sha512:" + strings.Repeat("0a", 64), Pushed: time.Unix(1e9, 5)}},
	{{Name: "x", Digest: "odd", Created: time.Unix(-1e9, 0)}, {Name: "y", Pushed: time.Unix(2, 0), Created: time.Unix(1, 0)}},
}

// FuzzDecodeTags: what is not as it was written is refused, and everything else
// is read as what it was.
func FuzzDecodeTags(f *testing.F) {
	for _, tags := range examples {
		f.Add(encodeTags(tags))
	}
	f.Add([]byte{listingVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, data []byte) {
		tags, err := decodeTags(data)
		if err != nil {
			if !errors.Is(err, errEncoding) || tags != nil {
				t.Errorf("%v with %d tags", err, len(tags))
			}
			return
		}
		if !slices.EqualFunc(tags, normal(tags), func(a, b registry.Tag) bool { return a == b }) {
			t.Errorf("decoded tags are not in order: %v", tags)
		}
		again, err := decodeTags(encodeTags(tags))
		if diff := cmp.Diff(tags, again); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// FuzzEncodeTags: whatever a registry says comes back, or is left out as the
// package promises.
func FuzzEncodeTags(f *testing.F) {
	f.Add("a", "b", "sha256:x", int64(1), int64(2))
	f.Fuzz(func(t *testing.T, a, b, digest string, seconds, nanos int64) {
		tags := normal([]registry.Tag{{Name: a, Digest: digest, Pushed: time.Unix(seconds, nanos)}, {Name: b, Created: time.Unix(nanos, seconds)}, {Name: a + b}})
		got, err := decodeTags(encodeTags(tags))
		if err != nil || len(got) != len(tags) {
			t.Fatalf("%d tags of %d, %v", len(got), len(tags), err)
		}
		for i, want := range tags {
			if len(want.Digest) > maxDigest {
				want.Digest = ""
			}
			if got[i].Name != want.Name || got[i].Digest != want.Digest || !sameTime(got[i].Pushed, want.Pushed) || !sameTime(got[i].Created, want.Created) {
				t.Errorf("%+v became %+v", want, got[i])
			}
		}
	})
}

func sameTime(got, want time.Time) bool {
	if !storable(want) {
		return got.IsZero()
	}
	return got.Equal(want)
}

func FuzzDecodeDigest(f *testing.F) {
	f.Add(encodeDigest(Digest{Digest: "sha256:" + strings.Repeat("0a", 32), At: time.Unix(1e9, 0), Changed: time.Unix(2e9, 1), Moves: 7}))
	f.Add(encodeDigest(Digest{Digest: "odd", At: time.Unix(1e9, 0)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decodeDigest("t", data)
		if err != nil {
			return
		}
		again, err := decodeDigest("t", encodeDigest(d))
		if diff := cmp.Diff(d, again); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

// A record that was damaged where bbolt does not see it is a miss, is said so
// once, and does not come back.
func TestDamagedRecords(t *testing.T) {
	dir, k := t.TempDir(), Key{Host: "h", Repository: "r"}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	c := reopened(t, nil, dir, logger)
	image := Image{Digest: "sha256:" + strings.Repeat("0a", 32)}
	_, err := c.PutListing(k, Listing{Tags: examples[2]})
	err = errors.Join(err, c.PutImages(image), c.PutDigests(k, Digest{Tag: "t", Digest: image.Digest}),
		c.PutNegatives(k, map[string]Negative{"t": {Failures: 1, Until: time.Now()}}), c.PutNote(k, []byte("n")))
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() bool{
		listings: func() bool { _, ok := c.Listing(k); return ok },
		digests: func() bool {
			_, ok := c.Digest(k, "t")
			return ok || len(c.Digests(k)) > 0
		},
		negatives:    func() bool { return len(c.Negatives(k)) > 0 },
		notes:        func() bool { _, ok := c.Note(k); return ok },
		images:       func() bool { _, ok := c.Image(image.Digest); return ok },
		imageNumbers: func() bool { _, ok := c.Image(image.Digest); return ok },
		repositories: func() bool { _, ok := c.Listing(k); return ok },
	}
	// What another one leads to comes last.
	for _, bucket := range []string{listings, digests, negatives, notes, images, imageNumbers, repositories} {
		if bucket == imageNumbers || bucket == repositories {
			_, err := c.PutListing(k, Listing{Tags: examples[2]})
			if err := errors.Join(err, c.PutImages(image)); err != nil {
				t.Fatal(err)
			}
		}
		if !reads[bucket]() {
			t.Fatalf("%s: nothing there", bucket)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		flipBit(t, c, bucket)
		c = reopened(t, c, dir, logger)
		log.Reset()
		for range 2 {
			if reads[bucket]() {
				t.Errorf("%s: a damaged record is believed", bucket)
			}
		}
		if got := strings.Count(log.String(), "damaged record"); got != 1 || !strings.Contains(log.String(), "record="+bucket) {
			t.Errorf("%s: the damage was reported %d times: %s", bucket, got, &log)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func reopened(t *testing.T, c *Cache, dir string, logger *slog.Logger) *Cache {
	t.Helper()
	if c != nil {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Open(dir, Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// flipBit changes a bit of every record in a bucket.
func flipBit(t *testing.T, c *Cache, bucket string) {
	t.Helper()
	err := c.store.file.DB.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		changed := map[string][]byte{}
		for key, value := range withPrefix(b, "") {
			value = bytes.Clone(value)
			value[len(value)/2] ^= 4
			changed[string(key)] = value
		}
		for key, value := range changed {
			if err := b.Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
