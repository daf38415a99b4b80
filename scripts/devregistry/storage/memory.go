package storage

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/registry/storage/driver"
)

// memory is a driver.StorageDriver in memory. Distribution has one for tests of
// its own; a registry with fifty thousand images takes half of the memory
// here, and a fifth of the time to fill. What is read is never half of what is being written.
//
// Paths are absolute and clean; driver/base checks that for what comes from
// outside.
type memory struct {
	mu    sync.RWMutex
	files map[string]file
	dirs  map[string]children
}

// file is not changed but replaced.
type file struct {
	content []byte
	written int64 // Unix nanoseconds
}

// children are the names in a directory. Most hold one.
type children struct {
	first string
	more  map[string]bool
}

var _ driver.StorageDriver = (*memory)(nil)

func newMemory() *memory {
	return &memory{files: map[string]file{}, dirs: map[string]children{}}
}

// Name implements driver.StorageDriver.
func (m *memory) Name() string { return driverName }

// GetContent implements driver.StorageDriver.
func (m *memory) GetContent(_ context.Context, path string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, ok := m.files[path]
	if !ok {
		return nil, driver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	return bytes.Clone(f.content), nil
}

// PutContent implements driver.StorageDriver.
func (m *memory) PutContent(_ context.Context, path string, content []byte) error {
	m.put(path, bytes.Clone(content))
	return nil
}

// put stores content, which nobody changes any more.
func (m *memory) put(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = file{content, time.Now().UnixNano()}
	m.enter(path)
}

// enter makes path a child of its directory, and that of its own.
func (m *memory) enter(path string) {
	for path != "/" {
		dir, name := split(path)
		c, ok := m.dirs[dir]
		switch {
		case !ok || c.first == "" && len(c.more) == 0:
			c.first = name
		case c.first == name || c.more[name]:
			return // so is the directory
		case c.more == nil:
			c.more = map[string]bool{name: true}
		default:
			c.more[name] = true
		}
		m.dirs[dir] = c
		path = dir
	}
}

// leave is the inverse of enter. The directory stays, be it empty.
func (m *memory) leave(path string) {
	dir, name := split(path)
	c := m.dirs[dir]
	if c.first == name {
		c.first = ""
	}
	delete(c.more, name)
	m.dirs[dir] = c
}

func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 1)], path[i+1:]
}

func (c children) names() []string {
	names := slices.Collect(maps.Keys(c.more))
	if c.first != "" {
		names = append(names, c.first)
	}
	return names
}

// Reader implements driver.StorageDriver.
func (m *memory) Reader(_ context.Context, path string, offset int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, driver.InvalidOffsetError{Path: path, Offset: offset, DriverName: driverName}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	f, ok := m.files[path]
	if !ok {
		return nil, driver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	return io.NopCloser(bytes.NewReader(f.content[min(offset, int64(len(f.content))):])), nil
}

// Stat implements driver.StorageDriver.
func (m *memory) Stat(_ context.Context, path string) (driver.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	info := driver.FileInfoFields{Path: path}
	if f, ok := m.files[path]; ok {
		info.Size, info.ModTime = int64(len(f.content)), time.Unix(0, f.written)
	} else if _, info.IsDir = m.dirs[path]; !info.IsDir {
		return nil, driver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	return driver.FileInfoInternal{FileInfoFields: info}, nil
}

// List implements driver.StorageDriver.
func (m *memory) List(_ context.Context, path string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.dirs[path]
	if !ok && path != "/" {
		return nil, driver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	names := c.names()
	for i, name := range names {
		names[i] = strings.TrimSuffix(path, "/") + "/" + name
	}
	return names, nil
}

// Move implements driver.StorageDriver.
func (m *memory) Move(_ context.Context, from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.files[from]
	if !ok {
		return driver.PathNotFoundError{Path: from, DriverName: driverName}
	}
	delete(m.files, from)
	m.leave(from)
	m.files[to] = f
	m.enter(to)
	return nil
}

// Delete implements driver.StorageDriver.
func (m *memory) Delete(_ context.Context, path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, isFile := m.files[path]
	if _, isDir := m.dirs[path]; !isFile && !isDir {
		return driver.PathNotFoundError{Path: path, DriverName: driverName}
	}
	m.remove(path)
	m.leave(path)
	return nil
}

func (m *memory) remove(path string) {
	delete(m.files, path)
	for _, name := range m.dirs[path].names() {
		m.remove(path + "/" + name)
	}
	delete(m.dirs, path)
}

// RedirectURL implements driver.StorageDriver.
func (m *memory) RedirectURL(*http.Request, string) (string, error) { return "", nil }

// Walk implements driver.StorageDriver.
func (m *memory) Walk(ctx context.Context, path string, f driver.WalkFn, options ...func(*driver.WalkOptions)) error {
	return driver.WalkFallback(ctx, m, path, f, options...)
}

// Writer implements driver.StorageDriver.
func (m *memory) Writer(ctx context.Context, path string, appending bool) (driver.FileWriter, error) {
	w := &writer{memory: m, path: path}
	if appending {
		content, err := m.GetContent(ctx, path)
		if err != nil {
			return nil, err
		}
		w.content = content
	}
	return w, nil
}

// writer collects a file, and stores it when it is closed or committed.
type writer struct {
	memory  *memory
	path    string
	content []byte
	done    bool // committed or cancelled
	closed  bool
}

// Write implements driver.FileWriter.
func (w *writer) Write(p []byte) (int, error) {
	if w.done || w.closed {
		return 0, io.ErrClosedPipe
	}
	w.content = append(w.content, p...)
	return len(p), nil
}

// Size implements driver.FileWriter.
func (w *writer) Size() int64 { return int64(len(w.content)) }

// Close implements driver.FileWriter: what was written can be appended to.
func (w *writer) Close() error {
	if w.closed {
		return io.ErrClosedPipe
	}
	w.closed = true
	if !w.done {
		w.memory.put(w.path, slices.Clip(w.content))
	}
	return nil
}

// Commit implements driver.FileWriter.
func (w *writer) Commit(context.Context) error {
	if w.done || w.closed {
		return io.ErrClosedPipe
	}
	w.done = true
	w.memory.put(w.path, slices.Clip(w.content))
	return nil
}

// Cancel implements driver.FileWriter.
func (w *writer) Cancel(ctx context.Context) error {
	if w.done || w.closed {
		return io.ErrClosedPipe
	}
	w.done = true
	if _, err := w.memory.Stat(ctx, w.path); err != nil {
		return nil // nothing was stored
	}
	return w.memory.Delete(ctx, w.path)
}
