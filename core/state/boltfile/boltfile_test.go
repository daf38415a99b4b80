package boltfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/sluice-gitops/sluice/core/state/boltfile"
)

var bucket = []byte("things")

// options are those of a test, which also sees the log.
func options(format uint64, expendable bool) (boltfile.Options, *bytes.Buffer) {
	var log bytes.Buffer
	return boltfile.Options{
		Format: format, Lost: "things", Expendable: expendable,
		LockTimeout: 10 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}, &log
}

func open(t *testing.T, path string, o boltfile.Options) *boltfile.File {
	t.Helper()
	f, err := boltfile.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func closeFile(t *testing.T, f *boltfile.File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// put writes values of 1 KiB, remove removes them.
func put(t *testing.T, f *boltfile.File, from, to int) {
	t.Helper()
	change(t, f, from, to, func(b *bolt.Bucket, key []byte) error { return b.Put(key, bytes.Repeat(key[:8], 128)) })
}

func remove(t *testing.T, f *boltfile.File, from, to int) {
	t.Helper()
	change(t, f, from, to, (*bolt.Bucket).Delete)
}

func change(t *testing.T, f *boltfile.File, from, to int, do func(b *bolt.Bucket, key []byte) error) {
	t.Helper()
	err := f.DB.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		for i := from; i < to && err == nil; i++ {
			err = do(b, fmt.Appendf(nil, "%08d", i))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, f *boltfile.File) (n int) {
	t.Helper()
	err := f.DB.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucket); b != nil {
			n = b.Stats().KeyN
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "things.db")
	o, _ := options(1, true)
	f := open(t, path, o)
	_, err := boltfile.Open(path, o)
	locked, ok := errors.AsType[*boltfile.LockedError](err)
	if !ok || locked.PID != os.Getpid() || locked.Dir != filepath.Dir(path) {
		t.Errorf("a second Open: %v", err)
	}
	put(t, f, 0, 10)
	closeFile(t, f)
	if left := glob(t, filepath.Join(filepath.Dir(path), "*")); len(left) != 1 || left[0] != path {
		t.Errorf("left after Close: %v", left)
	}
	f = open(t, path, o)
	if n := count(t, f); n != 10 {
		t.Errorf("%d things after a restart", n)
	}
	closeFile(t, f)
}

func TestNewerFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "things.db")
	o, _ := options(7, true)
	f := open(t, path, o)
	put(t, f, 0, 10)
	closeFile(t, f)

	refused, _ := options(6, false)
	_, err := boltfile.Open(path, refused)
	if err == nil || !strings.Contains(err.Error(), "written by a newer sluice (format 7, this one knows 6): upgrade, or remove the file") {
		t.Errorf("Open = %v", err)
	}

	o, log := options(6, true)
	f = open(t, path, o)
	if n := count(t, f); n != 0 {
		t.Errorf("%d things of a newer format are there", n)
	}
	closeFile(t, f)
	aside := glob(t, path+".newer-*")
	if len(aside) != 1 || !strings.Contains(log.String(), aside[0]) || !strings.Contains(log.String(), "lost=things") {
		t.Fatalf("moved aside: %v; log: %s", aside, log)
	}
	o, _ = options(7, true)
	f = open(t, aside[0], o)
	if n := count(t, f); n != 10 {
		t.Errorf("what was moved aside has %d things", n)
	}
	closeFile(t, f)
}

// What can be had again is not worth the room of many damaged files.
func TestDamagedFiles(t *testing.T) {
	for _, expendable := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "things.db")
		o, _ := options(1, expendable)
		want := 3
		if expendable {
			want = 1
		}
		for range 3 {
			if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
				t.Fatal(err)
			}
			closeFile(t, open(t, path, o))
		}
		if aside := glob(t, path+".damaged-*"); len(aside) != want {
			t.Errorf("expendable %v: moved aside and kept: %v", expendable, aside)
		}
	}
}

func TestCompacts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "things.db")
	if err := os.WriteFile(path+".compact", []byte("a crash left this"), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, _ := options(1, false)
	f := open(t, path, kept)
	put(t, f, 0, 20_000)
	remove(t, f, 500, 20_000)
	used, full, err := f.Used()
	if err != nil || used <= 500<<10 || used > full/10 {
		t.Errorf("%d bytes of %d are used, %v", used, full, err)
	}
	closeFile(t, f)
	f = open(t, path, kept)
	if _, size, err := f.Used(); size != full || err != nil {
		t.Errorf("a file that is not expendable had %d bytes and has %d, %v", full, size, err)
	}
	closeFile(t, f)

	o, log := options(1, true)
	f = open(t, path, o)
	if used, size, err := f.Used(); size > 2<<20 || used > size || err != nil {
		t.Errorf("of %d bytes %d are used, %v", size, used, err)
	}
	if n := count(t, f); n != 500 {
		t.Errorf("%d things after compaction", n)
	}
	put(t, f, 500, 600)
	closeFile(t, f)
	f = open(t, path, o)
	if n := count(t, f); n != 600 || log.Len() != 0 {
		t.Errorf("%d things; log: %s", n, log)
	}
	closeFile(t, f)
	if left := glob(t, path+".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCannotCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "things.db")
	o, log := options(1, true)
	f := open(t, path, o)
	put(t, f, 0, 20_000)
	remove(t, f, 500, 20_000)
	closeFile(t, f)
	if err := os.MkdirAll(filepath.Join(path+".compact", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	f = open(t, path, o)
	if n := count(t, f); n != 500 || !strings.Contains(log.String(), "cannot be rewritten") {
		t.Errorf("%d things; log: %s", n, log)
	}
	closeFile(t, f)
}
