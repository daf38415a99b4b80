package manifest

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"
)

// Cache remembers what files held, by their content, and what whole trees
// held, so that a tree in which one file has changed costs one parse. It keeps
// what was used last, up to a number of bytes. It is safe for concurrent use;
// a nil Cache remembers nothing.
type Cache struct {
	max int64

	mu      sync.Mutex
	used    int64
	entries map[cacheKey]*list.Element
	recent  *list.List // of *cacheEntry, last used first
}

type cacheKey [sha256.Size]byte

type cacheEntry struct {
	key   cacheKey
	value any // *content or Result
	size  int64
}

// NewCache returns a cache of about max bytes.
func NewCache(max int64) *Cache {
	return &Cache{max: max, entries: map[cacheKey]*list.Element{}, recent: list.New()}
}

// Used returns about how many bytes the cache holds.
func (c *Cache) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

func (c *Cache) get(key cacheKey) (any, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*cacheEntry).value, true
}

// put remembers value, and forgets others if it is too much. What alone is
// more than a quarter of the cache is not worth the others.
func (c *Cache) put(key cacheKey, value any, size int64) {
	if c == nil || size > c.max/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, exists := c.entries[key]; exists {
		return // equal keys hold equal values
	}
	c.entries[key] = c.recent.PushFront(&cacheEntry{key, value, size})
	c.used += size
	for c.used > c.max {
		last := c.recent.Remove(c.recent.Back()).(*cacheEntry)
		delete(c.entries, last.key)
		c.used -= last.size
	}
}

// result returns what a tree held. An empty key is no tree.
func (c *Cache) result(key cacheKey) (Result, bool) {
	if key == (cacheKey{}) {
		return Result{}, false
	}
	v, ok := c.get(key)
	if !ok {
		return Result{}, false
	}
	return v.(Result), true
}

func (c *Cache) putResult(key cacheKey, r Result) {
	if key == (cacheKey{}) {
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
func resultKey(o Options) cacheKey {
	if o.Tree == "" {
		return cacheKey{}
	}
	return sha256.Sum256(fmt.Appendf(nil, "tree %q %q %d", o.Tree, o.Paths, o.MaxFileSize))
}

// fileKey identifies the content of a file.
func fileKey(data []byte, kustomization bool) cacheKey {
	h := sha256.New()
	h.Write(data)
	if kustomization {
		h.Write([]byte("\x00kustomization"))
	}
	return cacheKey(h.Sum(nil))
}

// size returns about how many bytes o takes.
func (o Object) size() int64 {
	return int64(256 + len(o.JSON) + len(o.Ref.Group) + len(o.Ref.Kind) + len(o.Ref.Namespace) + len(o.Ref.Name))
}
