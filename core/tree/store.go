// Package tree keeps fetched trees of files: content-addressed, checked and
// read-only, so that any number of syncs can read one at the same time and a
// plugin can be handed its path.
//
// A tree comes into being in a directory of its own and gets its place, named
// by its digest, in one rename; a crash at any moment leaves either no tree or
// a whole one. A tree that an earlier process has left is checked against its
// digest before it is used, so that neither a torn write nor a changed file
// passes for what was fetched. A Store is safe for concurrent use; its
// directory belongs to one process at a time.
package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Options configures a Store. The zero value is useful.
type Options struct {
	// Keep is how many trees that nobody uses remain, those used last, so that
	// a restart or a revert finds them. Default 16.
	Keep int
	// KeepBytes bounds what all trees hold together, those in use included: the
	// ones that nobody uses go, oldest use first, until it fits. It is looked
	// after with each new tree. Zero: no bound.
	KeepBytes int64
	// MaxFiles and MaxBytes bound one tree. Defaults 200,000 and 2 GiB.
	MaxFiles int
	MaxBytes int64
}

// Fill writes the content of a tree into dir, which is empty and its own.
type Fill func(ctx context.Context, dir string) error

// Store is a directory of trees.
type Store struct {
	opts  Options
	trees string // directory with a directory for each tree, named by its digest
	keys  string // directory with a record for each key
	tmp   string // trees in the making and trees on their way out

	mu      sync.Mutex
	closed  bool
	flights map[string]*flight // by key
	known   map[string]*entry  // by digest: checked in this process
	sizes   map[string]int64   // by digest: bytes, where they have been counted
}

// entry is a tree on disk.
type entry struct {
	refs int
	used time.Time
}

// flight is a Put that runs; others of its key wait for it.
type flight struct {
	done chan struct{}
	err  error
}

// record is what the file of a key holds.
type record struct {
	Key    string `json:"key"`
	Digest string `json:"digest"`
}

// Tree is a tree that is held: it stays until Release.
type Tree struct {
	Dir    string // with the content; read-only
	Digest string // of the content; equal content has equal digests
	store  *Store
	once   sync.Once
}

// Release lets go of the tree. Its Dir may be gone at any time after. Further
// calls do nothing.
func (t *Tree) Release() {
	t.once.Do(func() {
		t.store.mu.Lock()
		defer t.store.mu.Unlock()
		if e := t.store.known[t.Digest]; e != nil {
			e.refs--
			e.used = time.Now()
		}
	})
}

// Intact reports whether the tree is still there: somebody may have cleaned the
// data directory by hand. Another Put brings it back.
func (t *Tree) Intact() bool {
	_, err := os.Lstat(t.Dir)
	return err == nil
}

// Open opens the store in dir, makes it if needed, and removes what a crash
// has left unfinished.
func Open(dir string, o Options) (*Store, error) {
	if o.Keep <= 0 {
		o.Keep = 16
	}
	if o.MaxFiles <= 0 {
		o.MaxFiles = 200_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 2 << 30
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("tree store: %w", err)
	}
	s := &Store{opts: o, trees: filepath.Join(abs, "sha256"), keys: filepath.Join(abs, "keys"), tmp: filepath.Join(abs, "tmp"),
		flights: map[string]*flight{}, known: map[string]*entry{}, sizes: map[string]int64{}}
	if err := remove(s.tmp); err != nil {
		return nil, fmt.Errorf("tree store: sweep: %w", err)
	}
	if err := s.makeDirs(); err != nil {
		return nil, fmt.Errorf("tree store: %w", err)
	}
	return s, nil
}

func (s *Store) makeDirs() error {
	for _, d := range []string{s.trees, s.keys, s.tmp} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// Put returns the tree of key, which identifies what it holds: a URL and a
// commit, for example. If the store does not have it, fill makes it. Of
// several calls with the same key at a time one fills, the others wait and
// share its tree or its failure; if its context ended, another one fills.
// The caller owes the tree a Release.
func (s *Store) Put(ctx context.Context, key string, fill Fill) (*Tree, error) {
	for {
		f, leads, err := s.join(key)
		if err != nil {
			return nil, err
		}
		if leads {
			return s.lead(ctx, key, f, fill)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if t, ok := s.Get(key); ok {
			return t, nil
		}
		if f.err != nil && !isContextError(f.err) {
			return nil, f.err
		}
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// join returns the flight of key, and whether the caller leads it.
func (s *Store) join(key string) (f *flight, leads bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false, errors.New("tree store: closed")
	}
	if f := s.flights[key]; f != nil {
		return f, false, nil
	}
	f = &flight{done: make(chan struct{})}
	s.flights[key] = f
	return f, true, nil
}

// lead finds or makes the tree of key and ends the flight.
func (s *Store) lead(ctx context.Context, key string, f *flight, fill Fill) (t *Tree, err error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		f.err = err
		delete(s.flights, key)
		close(f.done)
	}()
	if t, ok := s.Get(key); ok {
		return t, nil
	}
	t, err = s.make(ctx, key, fill)
	if err != nil {
		return nil, fmt.Errorf("tree store: %w", explain(err, filepath.Dir(s.tmp)))
	}
	// What cannot be collected now can be the next time.
	_ = s.GC()
	return t, nil
}

// explain says which directory is full, and what to do.
func explain(err error, dir string) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk of %s is full: free some space there or set another data_dir: %w", dir, err)
	}
	return err
}

// Get returns the tree of key if the store has it. The caller owes it a
// Release.
func (s *Store) Get(key string) (*Tree, bool) {
	data, err := os.ReadFile(s.keyFile(key))
	if err != nil {
		return nil, false
	}
	var r record
	if json.Unmarshal(data, &r) != nil || r.Key != key || !isDigest(r.Digest) {
		return nil, false
	}
	return s.hold(r.Digest)
}

// hold takes a reference on a tree. One that an earlier process has left is
// checked first, and removed if it is not what its name says.
func (s *Store) hold(digest string) (*Tree, bool) {
	dir := s.dir(digest)
	t := &Tree{Dir: dir, Digest: digest, store: s}
	s.mu.Lock()
	e := s.known[digest]
	held := e != nil && t.Intact()
	if held {
		e.refs++
		e.used = time.Now()
	}
	s.mu.Unlock()
	if held {
		return t, true
	}
	found, err := scan(dir, s.opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil || found != digest {
		s.discard(digest)
		return nil, false
	}
	return t, s.adopt(digest)
}

// adopt counts a tree that was found or made as known and held.
func (s *Store) adopt(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.known[digest]
	if e == nil {
		if _, err := os.Lstat(s.dir(digest)); err != nil {
			return false // collected since
		}
		e = &entry{}
		s.known[digest] = e
	}
	e.refs++
	e.used = time.Now()
	return true
}

// make has fill make a tree and gives it its place.
func (s *Store) make(ctx context.Context, key string, fill Fill) (*Tree, error) {
	if err := s.makeDirs(); err != nil { // removed by hand, perhaps
		return nil, err
	}
	work, err := os.MkdirTemp(s.tmp, "new-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = remove(work) }() // swept by the next Open otherwise
	content := filepath.Join(work, "tree")
	if err := os.Mkdir(content, 0o755); err != nil {
		return nil, err
	}
	if err := fill(ctx, content); err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := confine(content); err != nil {
		return nil, err
	}
	digest, err := scan(content, s.opts)
	if err != nil {
		return nil, err
	}
	if err := makeReadOnly(content); err != nil {
		return nil, err
	}
	t, err := s.place(digest, content)
	if err != nil {
		return nil, err
	}
	if err := s.writeKey(key, digest, work); err != nil {
		t.Release()
		return nil, err
	}
	return t, nil
}

// place moves the tree at content to where its digest belongs, unless the same
// one is there already.
func (s *Store) place(digest, content string) (*Tree, error) {
	if t, ok := s.hold(digest); ok {
		return t, nil
	}
	if err := s.move(digest, content); err != nil {
		// Somebody else may have been faster.
		if t, ok := s.hold(digest); ok {
			return t, nil
		}
		return nil, err
	}
	t := &Tree{Dir: s.dir(digest), Digest: digest, store: s}
	// Only now, since a directory that is not writable cannot be moved.
	if err := os.Chmod(t.Dir, 0o555); err != nil {
		t.Release()
		return nil, err
	}
	return t, nil
}

// move gives the tree at content its place, held once.
func (s *Store) move(digest, content string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Rename(content, s.dir(digest)); err != nil {
		return err
	}
	e := s.known[digest]
	if e == nil {
		e = &entry{} // else it was removed by hand, and is held by some
		s.known[digest] = e
	}
	e.refs++
	e.used = time.Now()
	return nil
}

// writeKey records that key is the tree digest.
func (s *Store) writeKey(key, digest, work string) error {
	data, err := json.Marshal(record{Key: key, Digest: digest})
	if err != nil {
		return err
	}
	file := filepath.Join(work, "key")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return os.Rename(file, s.keyFile(key))
}

// Close refuses further Puts and waits for those that run. Trees stay.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	var running []*flight
	for _, f := range s.flights {
		running = append(running, f)
	}
	s.mu.Unlock()
	for _, f := range running {
		<-f.done
	}
	return nil
}

func (s *Store) dir(digest string) string { return filepath.Join(s.trees, digest) }

func (s *Store) keyFile(key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.keys, hex.EncodeToString(sum[:]))
}

// isDigest guards against a record that leads elsewhere.
func isDigest(s string) bool {
	sum, err := hex.DecodeString(s)
	return err == nil && len(sum) == sha256.Size
}
