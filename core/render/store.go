package render

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// keepIdle is how many directories stay that nobody uses: those of the syncs
// that come again.
const keepIdle = 256

// Key identifies what is rendered. Equal keys give equal manifests.
type Key struct {
	Tree      string // digest of the tree
	Renderer  string // identifies the plugin's binary and its configuration
	Paths     []string
	Namespace string
}

// name is the directory's.
func (k Key) name() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", k.Tree, k.Renderer, k.Paths, k.Namespace))
	return hex.EncodeToString(sum[:16])
}

// Store keeps rendered directories below a directory of its own, each as long
// as somebody uses it and some time after. Safe for concurrent use.
type Store struct {
	dir string

	mu      sync.Mutex
	entries map[string]*entry
	clock   uint64 // counts uses
}

type entry struct {
	rendering chan struct{} // held by who renders
	rendered  Rendered
	done      bool
	users     int
	used      uint64 // when, by the store's clock
}

// NewStore takes dir over: whatever an earlier process has left there is
// removed, for nobody knows whether it is whole.
func NewStore(dir string) (*Store, error) {
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("store of rendered manifests: %w", err)
	}
	return &Store{dir: dir, entries: map[string]*entry{}}, nil
}

// Render returns what r makes of the tree at root, and renders it if it is not
// there yet; who comes meanwhile waits. release says that the result is not
// used any more; it must be called once if there is no error.
func (s *Store) Render(ctx context.Context, k Key, r renderer.Renderer, root string) (res Rendered, release func(), err error) {
	name := k.name()
	e := s.acquire(name)
	defer func() {
		if err != nil {
			s.release(name, e)
		}
	}()
	select {
	case e.rendering <- struct{}{}:
		defer func() { <-e.rendering }()
	case <-ctx.Done():
		return Rendered{}, nil, context.Cause(ctx)
	}
	if !e.done {
		rendered, err := Run(ctx, r, root, k.Paths, k.Namespace, filepath.Join(s.dir, name))
		if err != nil {
			return Rendered{}, nil, err
		}
		e.rendered, e.done = rendered, true
	}
	return e.rendered, sync.OnceFunc(func() { s.release(name, e) }), nil
}

func (s *Store) acquire(name string) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[name]
	if e == nil {
		e = &entry{rendering: make(chan struct{}, 1)}
		s.entries[name] = e
	}
	e.users++
	return e
}

// release ends a use. Of what nobody uses, only the newest stays.
func (s *Store) release(name string, e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.users--
	s.clock++
	e.used = s.clock
	if e.users == 0 && !e.done {
		delete(s.entries, name)
		return
	}
	for {
		oldest, idle := "", 0
		for n, c := range s.entries {
			if c.users > 0 {
				continue
			}
			if idle++; oldest == "" || c.used < s.entries[oldest].used {
				oldest = n
			}
		}
		if idle <= keepIdle {
			return
		}
		delete(s.entries, oldest)
		_ = os.RemoveAll(filepath.Join(s.dir, oldest)) // what stays is overwritten, or goes with the next start
	}
}
