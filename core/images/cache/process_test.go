package cache_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

// These make the test binary a process of its own that works in the directory
// they name.
const (
	writerEnv   = "SLUICE_TEST_CACHE_WRITER"
	fullDiskEnv = "SLUICE_TEST_CACHE_FULL_DISK"
)

func TestMain(m *testing.M) {
	for env, work := range map[string]func(dir string) error{writerEnv: writeForever, fullDiskEnv: fillDisk} {
		if dir := os.Getenv(env); dir != "" {
			if err := work(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// smallest is the smallest cache that there is.
const smallest = 1 << 20

// writeForever writes records of all kinds, more than fit, and prints the
// number of each round that is on disk.
func writeForever(dir string) error {
	c, err := cache.Open(dir, cache.Options{MaxBytes: smallest})
	if err != nil {
		return err
	}
	for n := 1; ; n++ {
		k := key(fmt.Sprint("app", n%7))
		_, err := c.PutListing(k, cache.Listing{Tags: tags(n%500+1, n%2 == 0), At: noon})
		var images []cache.Image
		for i := range 40 {
			images = append(images, image(n*40+i))
		}
		err = errors.Join(err, c.PutImages(images...), c.PutDigests(k, cache.Digest{Tag: "t", Digest: digest(n), At: noon}),
			c.PutNegatives(k, map[string]cache.Negative{"x": {Failures: n, Until: noon}}), c.PutNote(k, []byte(fmt.Sprint(n))), c.Flush())
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// lineWriter closes reached when it has got a number of lines.
type lineWriter struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	want    int
	reached chan struct{}
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if w.want -= bytes.Count(p, []byte("\n")); w.want <= 0 && w.reached != nil {
		close(w.reached)
		w.reached = nil
	}
	return len(p), nil
}

// What was flushed is there after a SIGKILL, and nothing is damaged.
func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		reached := make(chan struct{})
		out := &lineWriter{want: 2 + 13*round, reached: reached}
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = out, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-reached:
		case <-time.After(time.Minute):
			t.Errorf("the writer does not write: %s", &stderr)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
		lines := strings.Fields(out.buf.String())
		if len(lines) == 0 {
			t.Fatal("nothing was written")
		}
		var n int
		if _, err := fmt.Sscan(lines[len(lines)-1], &n); err != nil {
			t.Fatal(err)
		}
		checkAfterKill(t, dir, n)
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(aside) != 0 || err != nil {
		t.Errorf("a kill has damaged the file: %v, %v", aside, err)
	}
}

func checkAfterKill(t *testing.T, dir string, n int) {
	t.Helper()
	c := open(t, dir, smallest)
	k := key(fmt.Sprint("app", n%7))
	if d, ok := c.Digest(k, "t"); !ok || d.Digest != digest(n) && d.Digest != digest(n+7) {
		t.Errorf("round %d was written, found %+v, %v", n, d, ok)
	}
	if l, ok := c.Listing(k); !ok || len(l.Tags) == 0 {
		t.Errorf("round %d was written, found a listing of %d tags, %v", n, len(l.Tags), ok)
	}
	if got, ok := c.Image(digest(n*40 + 39)); !ok || got.Digest != digest(n*40+39) {
		t.Errorf("round %d was written, found the image %+v, %v", n, got, ok)
	}
	if note, ok := c.Note(k); !ok || string(note) < "1" {
		t.Errorf("round %d was written, found the note %q, %v", n, note, ok)
	}
	if s := stats(t, c); s.Damaged != 0 {
		t.Errorf("%d damaged records", s.Damaged)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

var errUnexpected = errors.New("not as expected")

// fillDisk lets the file of the cache not grow for a while, as if the disk were
// full.
func fillDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	c, err := cache.Open(dir, cache.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := errors.Join(c.PutImages(image(0)), c.Flush()); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "images.db"))
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	full := syscall.Rlimit{Cur: uint64(info.Size()), Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		return err
	}
	for i := 1; i < 2000; i++ {
		if err := c.PutImages(image(i)); err != nil {
			return err
		}
	}
	if err := c.Flush(); err == nil || !strings.Contains(err.Error(), "file too large") {
		return fmt.Errorf("flush to a full disk: %w", errors.Join(errUnexpected, err))
	}
	if s, err := c.Stats(); err != nil || !strings.Contains(s.WriteError, "file too large") {
		return fmt.Errorf("the write error of the stats is %q: %w", s.WriteError, errors.Join(errUnexpected, err))
	}
	if err := expectImages(c, 0, 2000); err != nil {
		return fmt.Errorf("while the disk is full: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return errors.Join(c.PutImages(image(2000)), c.Close())
}

func expectImages(c *cache.Cache, from, to int) error {
	for i := from; i < to; i++ {
		if _, ok := c.Image(digest(i)); !ok {
			return fmt.Errorf("image %d is lost", i)
		}
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDiskEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := open(t, dir, 0)
	if err := expectImages(c, 0, 2001); err != nil {
		t.Errorf("after there was room again: %v", err)
	}
}
