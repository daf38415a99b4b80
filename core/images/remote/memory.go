package remote

import (
	"maps"
	"sync"
	"time"
)

// memory is a bounded map whose entries expire.
type memory[K comparable, V any] struct {
	max int

	mu      sync.Mutex
	entries map[K]remembered[V]
}

type remembered[V any] struct {
	value V
	until time.Time
}

func newMemory[K comparable, V any](max int) *memory[K, V] {
	return &memory[K, V]{max: max, entries: map[K]remembered[V]{}}
}

func (m *memory[K, V]) get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok || !time.Now().Before(e.until) {
		var none V
		return none, false
	}
	return e.value, true
}

func (m *memory[K, V]) put(key K, value V, life time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	delete(m.entries, key)
	if len(m.entries) >= m.max {
		maps.DeleteFunc(m.entries, func(_ K, e remembered[V]) bool { return !now.Before(e.until) })
	}
	for k := range m.entries {
		if len(m.entries) < m.max {
			break
		}
		delete(m.entries, k) // any will do: it is only learned anew
	}
	m.entries[key] = remembered[V]{value, now.Add(life)}
}

// drop forgets the entries that match.
func (m *memory[K, V]) drop(match func(K) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.entries, func(k K, _ remembered[V]) bool { return match(k) })
}
