// Package mirror keeps bare copies of repositories on disk, and reads them.
//
// There is one Mirror for each repository and way to reach it: credentials,
// trusted keys and certificates, transport. All sources of the process that
// agree in these share it: wishes that arrive while a fetch runs are gathered and
// served by one next fetch. A fetch brings only what is new; when it fails,
// what was there stays. A mirror that is damaged (a crash, a full disk, a
// deleted file) is noticed and built again. A mirror is a cache: it may be
// deleted at any time.
//
// Two processes may use the same directory: locks on files keep them apart,
// and vanish with a process that dies.
package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// Access is how a caller reaches the repository of a Mirror. Callers of one
// Mirror have the same access, so that any of theirs will do.
type Access struct {
	URL       string // for messages
	Transport remote.Transport
	// Racer takes Transport's place in a Publish that has lost a race, if it
	// is not nil.
	Racer remote.Transport
	// Target returns the repository with its credentials. fresh asks for
	// credentials that are read anew, after the old ones were refused.
	Target func(ctx context.Context, fresh bool) (remote.Target, error)
	Log    hclog.Logger
}

// ErrUnknown is returned for a commit that the mirror does not hold.
var ErrUnknown = errors.New("the mirror does not hold this commit")

// ErrNotCommit is returned for a tag of something else.
var ErrNotCommit = errors.New("it does not point to a commit")

// Pool holds the mirrors below one directory.
type Pool struct {
	dir    string
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	mirrors map[string]*Mirror
}

// NewPool makes a pool below dir, which it creates when it is needed.
func NewPool(dir string) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{dir: dir, ctx: ctx, cancel: cancel, mirrors: map[string]*Mirror{}}
}

// Close stops all fetches and waits for them.
func (p *Pool) Close() {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.mirrors {
		m.running.Wait()
	}
}

// Mirror returns the mirror for the repository at a as reached in the way that
// identity stands for. Only a hash of identity is stored.
func (p *Pool) Mirror(a remote.Address, identity string) (*Mirror, error) {
	sum := sha256.Sum256([]byte(a.String() + "\x00" + identity))
	key := hex.EncodeToString(sum[:16])
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.mirrors[key]; m != nil {
		return m, nil
	}
	dir := filepath.Join(p.dir, key)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	if len(p.mirrors) == 0 {
		p.dropUnused(key)
	}
	m := &Mirror{ctx: p.ctx, dir: dir, repo: filepath.Join(dir, "repo"), verified: map[string]plumbing.Hash{}}
	p.mirrors[key] = m
	return m, nil
}

// Mirror is one bare repository. Its methods may be called from several
// goroutines.
type Mirror struct {
	ctx     context.Context // of the pool: ends every fetch
	dir     string          // holds the repository, the locks and notes
	repo    string
	running sync.WaitGroup

	mu       sync.Mutex
	verified map[string]plumbing.Hash // by ref: what was found readable
	next     *flight                  // gathers wishes while another one is under way
	busy     bool                     // a goroutine is working on flights
}

// localRef is where the mirror keeps the remote's ref. It is a hash, because
// remote names may collide as files do (a branch "a" that gives way to "a/b").
func localRef(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "refs/sluice/" + hex.EncodeToString(sum[:12])
}

func (m *Mirror) fetchLock() string { return filepath.Join(m.dir, "fetch.lock") }

// useLock is shared by readers and fetches; who deletes objects holds it alone.
func (m *Mirror) useLock() string { return filepath.Join(m.dir, "use.lock") }
