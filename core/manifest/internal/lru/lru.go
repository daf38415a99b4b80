// Package lru is a cache of bounded size that forgets what was not used for
// the longest time.
package lru

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

// Cache keeps what was used last, up to a number of bytes. It is safe for
// concurrent use; a nil Cache keeps nothing.
type Cache struct {
	max int64

	mu      sync.Mutex
	used    int64
	entries map[Key]*list.Element
	recent  *list.List // of *entry, last used first
}

// Key identifies a value by a digest of what it was made of.
type Key [sha256.Size]byte

type entry struct {
	key   Key
	value any
	size  int64
}

// New returns a cache of about max bytes.
func New(max int64) *Cache {
	return &Cache{max: max, entries: map[Key]*list.Element{}, recent: list.New()}
}

// Used returns about how many bytes the cache holds.
func (c *Cache) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// Get returns the value of key, if the cache still has it.
func (c *Cache) Get(key Key) (any, bool) {
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
	return e.Value.(*entry).value, true
}

// Put keeps value, of about size bytes, and forgets others if it is too much. What alone is
// more than a quarter of the cache is not worth the others.
func (c *Cache) Put(key Key, value any, size int64) {
	if c == nil || size > c.max/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, exists := c.entries[key]; exists {
		return // equal keys hold equal values
	}
	c.entries[key] = c.recent.PushFront(&entry{key, value, size})
	c.used += size
	for c.used > c.max {
		last := c.recent.Remove(c.recent.Back()).(*entry)
		delete(c.entries, last.key)
		c.used -= last.size
	}
}
