package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
)

// marks knows what the inventories are marked with, as far as they were read.
type marks struct {
	mu    sync.Mutex
	known map[string]map[string]string // by owner
}

func newMarks() *marks { return &marks{known: map[string]map[string]string{}} }

// saw takes down what was read of an owner; nil is nothing.
func (m *marks) saw(owner string, found map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found == nil {
		delete(m.known, owner)
		return
	}
	m.known[owner] = maps.Clone(found)
}

// value returns a mark; known is false if nothing was read of the owner.
func (m *marks) value(owner, name string) (value string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, known := m.known[owner]
	return found[name], known
}

// set takes down a mark that was made.
func (m *marks) set(owner, name, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if found := m.known[owner]; found != nil {
		found[name] = value
	}
}

// Mark implements applier.Marker. It asks for nothing if the last look at the
// inventory, which every plan takes, found the mark there already.
func (t *target) Mark(ctx context.Context, owner, name, value string) error {
	if err := inventory.CheckMark(name); err != nil {
		return err
	}
	now, known := t.marks.value(owner, name)
	if !known {
		found, err := t.store.Marks(ctx, owner)
		if err != nil {
			return explainMark(owner, err)
		}
		t.marks.saw(owner, found)
		now = found[name]
	}
	if now == value {
		return nil
	}
	if err := t.store.Mark(ctx, owner, name, value); err != nil {
		t.marks.saw(owner, nil)
		return explainMark(owner, err)
	}
	t.marks.set(owner, name, value)
	return nil
}

func explainMark(owner string, err error) error {
	if errors.Is(err, inventory.ErrNone) {
		return fmt.Errorf("%s cannot be marked before its first apply: %w", owner, err)
	}
	return fmt.Errorf("mark %s: %s", owner, cluster.Explain(err, false))
}
