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
)

// executable is a plugin binary that was opened once: what was hashed is what
// runs, whatever happens to the path in between (see command).
type executable struct {
	path string // absolute
	sha  string // hex sha256 of the content
	file *os.File
}

// openExecutable opens and hashes the file at path. Its errors say what is
// wrong with the file and how to put it right.
func openExecutable(path string) (*executable, error) {
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
	sum, err := hashExecutable(f)
	if err != nil {
		_ = f.Close() // only read from
		return nil, err
	}
	return &executable{path: abs, sha: sum, file: f}, nil
}

func hashExecutable(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("plugin binary: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("plugin binary %s is not a regular file (%s)", f.Name(), info.Mode().Type())
	}
	if info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("plugin binary %s is not executable: chmod +x it", f.Name())
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("plugin binary: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Close releases the file. A process that was started from it runs on.
func (e *executable) Close() error { return e.file.Close() }
