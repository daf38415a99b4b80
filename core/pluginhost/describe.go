package pluginhost

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

const (
	answerMax      = 4 << 20 // bytes of JSON
	answerErrorMax = 4 << 10 // bytes of stderr that are shown
)

// description is what a binary says about itself, and which binary it was.
type description struct {
	client.Description
	sha string
}

func (d description) offer(kind, typ string) (client.KindDescription, bool) {
	for _, k := range d.Kinds {
		if k.Kind == kind && k.Type == typ {
			return k, true
		}
	}
	return client.KindDescription{}, false
}

// kinds returns the names of the kinds, each once.
func (d description) kinds() []string {
	seen := map[string]bool{}
	for _, k := range d.Kinds {
		seen[k.Kind] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// describe asks the binary of c what it offers, by `BINARY describe`, unless
// the answer is known from before. A binary that the lock file does not allow
// is not run.
func (h *Host) describe(ctx context.Context, c *candidate) (description, error) {
	exe, err := h.open(c)
	if err != nil {
		return description{}, err
	}
	defer func() { _ = exe.Close() }() // only read from
	return h.describeOpen(ctx, c, exe)
}

// open opens the binary of c and verifies it against the lock file, which is
// read each time: "sluice plugin lock" may have written it since.
func (h *Host) open(c *candidate) (*executable, error) {
	if c.path == "" {
		return nil, fmt.Errorf("plugin %s: no binary %s%s in %s; install it there, or set path in the plugin block",
			c.name, handshake.BinaryPrefix, c.name, listOr(h.o.Dirs, "no directory"))
	}
	exe, err := h.sums.open(c.path)
	if err != nil {
		return nil, fmt.Errorf("plugin %s (%s): %w", c.name, c.origin, err)
	}
	if c.dev {
		return exe, nil
	}
	lock, err := h.readLock()
	if err == nil && lock != nil {
		err = lock.check(h.o.LockFile, c.name, exe)
	}
	if err != nil {
		return nil, errors.Join(err, exe.Close())
	}
	return exe, nil
}

// readLock returns nil if nothing is to be verified.
func (h *Host) readLock() (*Lock, error) {
	if h.o.LockFile == "" {
		return nil, nil
	}
	lock, err := ReadLock(h.o.LockFile)
	if errors.Is(err, os.ErrNotExist) {
		h.unverified.Do(func() {
			h.log.Info("no lock file; plugins are not verified", "file", h.o.LockFile, "create", "sluice plugin lock")
		})
		return nil, nil
	}
	return lock, err
}

// describeOpen describes an open binary, from memory or the cache if it is
// known there. It asks one binary at a time, so that many who want to know the
// same cause one question.
func (h *Host) describeOpen(ctx context.Context, c *candidate, exe *executable) (description, error) {
	key := describeKey(c, exe)
	if d, ok := h.remembered(key); ok {
		return d, nil
	}
	select {
	case h.asking <- struct{}{}:
		defer func() { <-h.asking }()
	case <-ctx.Done():
		return description{}, ctx.Err()
	}
	if d, ok := h.remembered(key); ok {
		return d, nil
	}
	d := description{sha: exe.sha}
	file := filepath.Join(h.o.CacheDir, "describe", key+".json")
	data, err := os.ReadFile(file)
	if err == nil {
		d.Description, err = parseDescription(data)
	}
	if err != nil {
		d.Description, err = h.askDescription(ctx, c, exe, file)
	}
	if err != nil {
		return description{}, fmt.Errorf("plugin %s: %s describe: %w", c.name, exe.path, h.scrub.Err(err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.described[key] = d
	return d, nil
}

func (h *Host) remembered(key string) (description, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d, ok := h.described[key]
	return d, ok
}

// askDescription runs the binary and leaves the answer in file.
func (h *Host) askDescription(ctx context.Context, c *candidate, exe *executable, file string) (client.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timing.describe)
	defer cancel()
	data, err := ask(ctx, exe, pluginEnv(h.o.Environ, nil, c.env, os.TempDir(), os.TempDir()), "describe", nil)
	if err != nil {
		return client.Description{}, err
	}
	d, err := parseDescription(data)
	if err != nil {
		return client.Description{}, err
	}
	if err := writeDescription(file, data); err != nil {
		h.log.Warn("cannot cache the description of a plugin", "plugin", c.name, "err", err)
	}
	return d, nil
}

func parseDescription(data []byte) (client.Description, error) {
	var d client.Description
	if err := json.Unmarshal(data, &d); err != nil || d.Name == "" {
		return client.Description{}, errors.New("the answer is no description: is it a Sluice plugin?")
	}
	for i := range d.Kinds {
		if d.Kinds[i].Schema == nil {
			d.Kinds[i].Schema = &schema.Schema{} // nothing to configure
		}
	}
	return d, nil
}

// DescribeBinary asks the binary at path what it offers, by `BINARY describe`,
// whatever the lock file says.
func DescribeBinary(ctx context.Context, path string) (client.Description, error) {
	exe, err := new(checksums).open(path)
	if err != nil {
		return client.Description{}, err
	}
	defer func() { _ = exe.Close() }() // only read from
	ctx, cancel := context.WithTimeout(ctx, defaultTiming.describe)
	defer cancel()
	data, err := ask(ctx, exe, pluginEnv(os.Environ(), nil, nil, os.TempDir(), os.TempDir()), "describe", nil)
	if err != nil {
		return client.Description{}, fmt.Errorf("%s describe: %w", path, err)
	}
	return parseDescription(data)
}

// describeKey is what a description depends on: the binary, the name that it
// is called by, and its environment.
func describeKey(c *candidate, exe *executable) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n", exe.sha, filepath.Base(exe.path))
	for _, name := range slices.Sorted(maps.Keys(c.env)) {
		fmt.Fprintf(sum, "%q=%q\n", name, c.env[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeDescription(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFileAtomic(path, data, 0o600)
}

// ask runs the binary with a question as its only argument, and input on its
// standard input, in bounded time. It returns the output.
func ask(ctx context.Context, exe *executable, env []string, question string, input []byte) ([]byte, error) {
	runtime.LockOSThread() // see runner.own
	defer runtime.UnlockOSThread()
	out, problem := &limitedBuffer{max: answerMax}, &limitedBuffer{max: answerErrorMax}
	cmd := command(exe, question)
	cmd.Env = env
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	cmd.Stdout, cmd.Stderr = out, problem
	cmd.ExtraFiles = []*os.File{nil, exe.file}
	cmd.SysProcAttr = processAttributes()
	cmd.WaitDelay = pipeGrace // for grandchildren that hold the pipes
	if err := cmd.Start(); err != nil {
		return nil, withPath(err, exe)
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	awaitExit(cmd)
	stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // children; the leader is not reaped yet
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer: %w", ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("%w: %s; is it a Sluice plugin?", err, bytes.TrimSpace(problem.data))
	case out.cut:
		return nil, fmt.Errorf("more than %d bytes of output", answerMax)
	}
	return out.data, nil
}

// limitedBuffer keeps the first max bytes.
type limitedBuffer struct {
	data []byte
	max  int
	cut  bool
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	take := min(len(p), b.max-len(b.data))
	b.data = append(b.data, p[:take]...)
	b.cut = b.cut || take < len(p)
	return len(p), nil
}

var _ io.Writer = (*limitedBuffer)(nil)

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
