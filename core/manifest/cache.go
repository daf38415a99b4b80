package manifest

import (
	"crypto/sha256"
	"fmt"

	"github.com/sluice-gitops/sluice/core/manifest/internal/lru"
)

// Cache remembers what files held, by their content, and what whole trees
// held, so that a tree in which one file has changed costs one parse. It keeps
// what was used last, up to a number of bytes. It is safe for concurrent use;
// a nil Cache remembers nothing.
type Cache struct{ lru *lru.Cache }

// NewCache returns a cache of about max bytes.
func NewCache(max int64) *Cache { return &Cache{lru: lru.New(max)} }

// Used returns about how many bytes the cache holds.
func (c *Cache) Used() int64 { return c.lru.Used() }

func (c *Cache) get(key lru.Key) (any, bool) {
	if c == nil {
		return nil, false
	}
	return c.lru.Get(key)
}

func (c *Cache) put(key lru.Key, value any, size int64) {
	if c != nil {
		c.lru.Put(key, value, size)
	}
}

// result returns what a tree held. An empty key is no tree.
func (c *Cache) result(key lru.Key) (Result, bool) {
	if key == (lru.Key{}) {
		return Result{}, false
	}
	v, ok := c.get(key)
	if !ok {
		return Result{}, false
	}
	return v.(Result), true
}

func (c *Cache) putResult(key lru.Key, r Result) {
	if key == (lru.Key{}) {
		return
	}
	size := int64(1024)
	for _, o := range r.Objects {
		size += o.size()
	}
	for _, d := range r.Problems {
		size += int64(256 + len(d.Summary) + len(d.Detail))
	}
	c.put(key, r, size)
}

// resultKey identifies a Load, or is empty if the tree is not identified.
func resultKey(o Options) lru.Key {
	if o.Tree == "" || o.Origin != nil {
		return lru.Key{}
	}
	return sha256.Sum256(fmt.Appendf(nil, "tree %q %q %d", o.Tree, o.Paths, o.MaxFileSize))
}

// fileKey identifies the content of a file.
func fileKey(data []byte, kustomization bool) lru.Key {
	h := sha256.New()
	h.Write(data)
	if kustomization {
		h.Write([]byte("\x00kustomization"))
	}
	return lru.Key(h.Sum(nil))
}

// size returns about how many bytes o takes.
func (o Object) size() int64 {
	return int64(256 + len(o.JSON) + len(o.Ref.Group) + len(o.Ref.Kind) + len(o.Ref.Namespace) + len(o.Ref.Name))
}
