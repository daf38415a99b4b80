package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// executable is a plugin binary that was opened once: what was hashed is what
// runs, whatever happens to the path in between (see command).
type executable struct {
	path string // absolute
	sha  string // hex sha256 of the content
	file *os.File
}

// checksums remembers the sums of files that have not changed since, so that
// a plugin of 60 MB does not cost 40 ms each time it is looked at. What tells
// of a change is the inode's change time, which only the kernel sets.
type checksums struct {
	mu  sync.Mutex
	sum map[fileState]string
}

// fileState identifies the content of a file as long as it does not change.
type fileState struct {
	dev, inode    uint64
	size          int64
	modified, set time.Time // set: last change of content or inode
}

// settled is how old a change has to be for a later one to be told from it.
const settled = 2 * time.Second

// open opens and hashes the file at path. Its errors say what is wrong with
// the file and how to put it right.
func (c *checksums) open(path string) (*executable, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("plugin binary %s: %w", path, err)
	}
	f, err := os.Open(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("plugin binary %s does not exist: %w", abs, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("plugin binary: %w", err)
	}
	sum, err := c.of(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("plugin binary %w", err), f.Close())
	}
	return &executable{path: abs, sha: sum, file: f}, nil
}

func (c *checksums) of(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file (%s)", f.Name(), info.Mode().Type())
	}
	if info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is not executable: chmod +x it", f.Name())
	}
	state, known := stateOf(info)
	c.mu.Lock()
	sum, ok := c.sum[state]
	c.mu.Unlock()
	if known && ok {
		return sum, nil
	}
	began := time.Now()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 256<<10)); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	sum = hex.EncodeToString(h.Sum(nil))
	if known && began.Sub(state.set) > settled {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sum == nil {
			c.sum = map[fileState]string{}
		}
		c.sum[state] = sum
	}
	return sum, nil
}

// Close releases the file. A process that was started from it runs on.
func (e *executable) Close() error { return e.file.Close() }

// withPath replaces the descriptor that a start went through, in its error, by
// what a person knows.
func withPath(err error, exe *executable) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("start %s: %w", exe.path, pe.Err)
	}
	return err
}
