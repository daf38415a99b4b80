// Package cache remembers what registries said about images, across restarts:
// listings of tags, the digest of a tag, what is behind a digest, and what is
// not worth asking again for a while. It is one bbolt file, images.db, in the
// daemon's data directory.
//
// Nothing in it is the only copy: whatever goes wrong with reading is a miss,
// and a file that is damaged or of a newer format is moved aside. Writes are
// collected and go to disk together about every second; reads see them at
// once. A kill at any moment loses at most those; it damages nothing.
//
// The file is bounded: images that were not used for longest go first, then
// repositories that were not seen for longest.
//
// All methods may be called at the same time. After Close, reads miss and
// writes return ErrClosed.
package cache

import (
	"iter"
	"log/slog"
)

// Options configures Open. The zero value is useful.
type Options struct {
	// MaxBytes bounds what the file holds. Default 256 MiB.
	MaxBytes int64
	// Logger hears of damage and of writes that fail. Default slog.Default().
	Logger *slog.Logger
}

// Cache is an open cache.
type Cache struct{}

// Open opens the cache in the data directory dir, and makes both if needed.
// The caller owes it a Close. Another process with the same directory is a
// *state.LockedError.
func Open(dir string, o Options) (*Cache, error) { return &Cache{}, nil }

// Listing returns the last complete listing of a repository. The caller must
// not change it.
func (c *Cache) Listing(k Key) (Listing, bool) { return Listing{}, false }

// PutListing records a complete listing that was read at l.At, and tells
// whether its tags, digests or times differ from the one before. The order of
// l.Tags does not matter; of two tags with one name the last counts. l.Changed
// is ignored. Digests of tags that are gone are forgotten.
func (c *Cache) PutListing(k Key, l Listing) (changed bool, err error) { return false, nil }

// Digest returns what a tag pointed to when the registry was asked last.
func (c *Cache) Digest(k Key, tag string) (Digest, bool) { return Digest{}, false }

// PutDigests records what tags point to.
func (c *Cache) PutDigests(k Key, digests ...Digest) error { return nil }

// Image returns what is behind a digest.
func (c *Cache) Image(digest string) (Image, bool) { return Image{}, false }

// PutImages records images by their digests. Of labels and annotations beyond
// 16 KiB only those of the OCI image specification and of label-schema.org are
// kept.
func (c *Cache) PutImages(images ...Image) error { return nil }

// Negative returns why a tag, or with an empty tag the repository, is not to
// be asked for. ok tells whether that is still so; n is also filled after its
// time, for the number of failures.
func (c *Cache) Negative(k Key, tag string) (n Negative, ok bool) { return Negative{}, false }

// PutNegative records a failure; a zero n forgets it.
func (c *Cache) PutNegative(k Key, tag string, n Negative) error { return nil }

// Flush writes to disk what has been put.
func (c *Cache) Flush() error { return nil }

// Repositories returns what there is, in the order of host and path.
func (c *Cache) Repositories() iter.Seq2[Repository, error] { return nil }

// Stats counts what there is.
func (c *Cache) Stats() (Stats, error) { return Stats{}, nil }

// Clear forgets everything about the repositories whose host/path matches the
// glob, and returns how much that was. The pattern "*" forgets all.
func (c *Cache) Clear(pattern string) (Stats, error) { return Stats{}, nil }

// Close writes out what has been put and lets go of the file.
func (c *Cache) Close() error { return nil }
