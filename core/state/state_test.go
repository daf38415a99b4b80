package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/state"
)

// writerEnv makes the test binary a process that writes to the state of the
// directory it names until it is killed.
const writerEnv = "SLUICE_TEST_STATE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

type record struct {
	Who  string `json:"who"`
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

const records state.Kind[record] = "record"

func open(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(dir, state.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// allRecords returns all records by ID.
func allRecords(s *state.Store) (map[string]record, error) {
	ids, err := records.IDs(s)
	found := map[string]record{}
	for _, id := range ids {
		r, _, getErr := records.Get(s, id)
		found[id], err = r, errors.Join(err, getErr)
	}
	return found, err
}

func TestKind(t *testing.T) {
	s := open(t, t.TempDir())
	if _, ok, err := records.Get(s, "a"); ok || err != nil {
		t.Errorf("Get from nothing = %v, %v", ok, err)
	}
	if err := records.Delete(s, "a"); err != nil {
		t.Error(err)
	}
	for id, r := range map[string]record{"a": {Who: "ann", N: 1}, `sync.app["b"]`: {Who: "bob"}} {
		if err := records.Put(s, id, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := records.Put(s, "a", record{Who: "ann", N: 2}); err != nil {
		t.Fatal(err)
	}
	const others state.Kind[int] = "other"
	if err := others.Put(s, "a", 7); err != nil {
		t.Fatal(err)
	}
	got, ok, err := records.Get(s, "a")
	if diff := cmp.Diff(record{Who: "ann", N: 2}, got); !ok || err != nil || diff != "" {
		t.Errorf("Get = %v, %v\n%s", ok, err, diff)
	}
	all, err := allRecords(s)
	if diff := cmp.Diff(map[string]record{"a": {Who: "ann", N: 2}, `sync.app["b"]`: {Who: "bob"}}, all); err != nil || diff != "" {
		t.Errorf("All: %v\n%s", err, diff)
	}
	if err := records.Delete(s, "a"); err != nil {
		t.Error(err)
	}
	if _, ok, err := records.Get(s, "a"); ok || err != nil {
		t.Errorf("Get after Delete = %v, %v", ok, err)
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	s := open(t, t.TempDir())
	if err := records.Put(s, "a", record{N: 1}); err != nil {
		t.Fatal(err)
	}
	const others state.Kind[func()] = "other"
	for _, bad := range []state.Change{records.Change("", record{}), others.Change("a", nil)} {
		err := s.Write([]state.Change{records.Removal("a"), records.Change("b", record{N: 2}), bad})
		if err == nil || !strings.HasPrefix(err.Error(), "state: ") {
			t.Errorf("a change that cannot be made: %v", err)
		}
	}
	all, err := allRecords(s)
	if diff := cmp.Diff(map[string]record{"a": {N: 1}}, all); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	var many []state.Change
	for i := range 1000 {
		many = append(many, records.Change(fmt.Sprint(i), record{N: i}))
	}
	if err := s.Write(append(many, records.Removal("7"))); err != nil {
		t.Fatal(err)
	}
	if all, err := allRecords(s); err != nil || len(all) != 1000 || all["999"].N != 999 {
		t.Errorf("%d records, %v", len(all), err)
	}
}

func TestKindErrorsNameTheRecord(t *testing.T) {
	s := open(t, t.TempDir())
	const text state.Kind[string] = "record"
	if err := text.Put(s, "a", "not an object"); err != nil {
		t.Fatal(err)
	}
	_, _, err := records.Get(s, "a")
	if err == nil || !strings.Contains(err.Error(), `state: record "a": `) {
		t.Errorf("Get: %v", err)
	}
	if err := records.Put(s, "", record{}); err == nil || !strings.Contains(err.Error(), `state: record ""`) {
		t.Errorf("Put without an ID: %v", err)
	}
}

func TestSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Put(s, "a", record{N: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := records.Get(open(t, dir), "a"); !ok || err != nil || got.N != 1 {
		t.Errorf("Get = %v, %v, %v", got, ok, err)
	}
}

func TestRing(t *testing.T) {
	s := open(t, t.TempDir())
	r, err := s.Ring("events", 3)
	if err != nil {
		t.Fatal(err)
	}
	read := func(after uint64, limit int) (got []string) {
		t.Helper()
		err := r.Read(after, limit, func(seq uint64, data []byte) error {
			got = append(got, fmt.Sprint(seq, string(data)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	last := func(want uint64) {
		t.Helper()
		if got, err := r.Last(); got != want || err != nil {
			t.Errorf("Last = %d, %v; want %d", got, err, want)
		}
	}
	last(0)
	if got := read(0, 10); got != nil {
		t.Errorf("an empty ring has %v", got)
	}
	if err := r.Append(1, [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d")}); err != nil {
		t.Fatal(err)
	}
	last(4)
	for _, tt := range []struct {
		after uint64
		limit int
		want  []string
	}{{0, 10, []string{"2b", "3c", "4d"}}, {2, 1, []string{"3c"}}, {4, 10, nil}, {0, 0, nil}} {
		if diff := cmp.Diff(tt.want, read(tt.after, tt.limit)); diff != "" {
			t.Errorf("Read(%d, %d):\n%s", tt.after, tt.limit, diff)
		}
	}
	if err := r.Reserve(100); err != nil {
		t.Fatal(err)
	}
	last(100)
	if err := r.Reserve(0); err != nil {
		t.Fatal(err)
	}
	last(4)
	if err := r.Append(100, nil); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := r.Read(0, 9, func(uint64, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Read does not return its function's error: %v", err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := state.Open(dir, state.Options{LockTimeout: 10 * time.Millisecond})
	locked, ok := errors.AsType[*state.LockedError](err)
	if !ok {
		t.Fatalf("Open = %v", err)
	}
	want := fmt.Sprintf("another sluice (pid %d) is running with data_dir %s: stop it, or set another data_dir", os.Getpid(), dir)
	if diff := cmp.Diff(want, locked.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 0, 9})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = state.Open(dir, state.Options{})
	if err == nil || !strings.Contains(err.Error(), "written by a newer sluice (format 9, this one knows 1): upgrade, or remove the file") {
		t.Errorf("Open = %v", err)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(file, state.Options{}); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("Open of a file = %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "state.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(dir, state.Options{}); err == nil || !strings.Contains(err.Error(), "state.db") {
		t.Errorf("Open with a directory in the place of the file = %v", err)
	}
}

// damages are ways to break a state file.
var damages = map[string]func(data []byte) []byte{
	"empty of sense": func([]byte) []byte { return []byte("hello") },
	"zeros":          func(data []byte) []byte { return make([]byte, len(data)) },
	"truncated":      func(data []byte) []byte { return data[:3*4096] },
	"both metas": func(data []byte) []byte {
		copy(data[0:8192], bytes.Repeat([]byte{0xff}, 8192))
		return data
	},
	"all pages but the metas": func(data []byte) []byte {
		for i := 8192; i < len(data); i++ {
			data[i] ^= 0x5a
		}
		return data
	},
	"page numbers": func(data []byte) []byte {
		for i := 8192; i+8 < len(data); i += 4096 {
			copy(data[i:], bytes.Repeat([]byte{0xee}, 8))
		}
		return data
	},
}

func TestDamagedFileIsMovedAside(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "state.db")
			fill(t, dir)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := damage(data)
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			s, err := state.Open(dir, state.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if all, err := allRecords(s); len(all) != 0 || err != nil {
				t.Errorf("the new file has %d records, %v", len(all), err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			aside, err := filepath.Glob(path + ".damaged-*")
			if err != nil || len(aside) != 1 || !strings.Contains(log.String(), aside[0]) {
				t.Fatalf("moved aside: %v, %v; log: %s", aside, err, &log)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, broken) {
				t.Errorf("the damaged file was changed, %v", err)
			}
		})
	}
}

// fill makes a state file of some pages.
func fill(t *testing.T, dir string) {
	t.Helper()
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if err := records.Put(s, fmt.Sprint("id", i), record{Text: strings.Repeat("x", 500)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzDamage flips bytes anywhere: Open never fails and never crashes, and the
// store that it returns can be read and written.
func FuzzDamage(f *testing.F) {
	f.Add(uint32(8192), byte(0xff), uint16(1))
	f.Add(uint32(20000), byte(1), uint16(300))
	f.Fuzz(func(t *testing.T, at uint32, with byte, length uint16) {
		dir := t.TempDir()
		fill(t, dir)
		path := filepath.Join(dir, "state.db")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range int(length) {
			data[(int(at)+i)%len(data)] ^= with
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir)
		_, _ = allRecords(s) // a flipped letter of a record may be no JSON any more
		for i := range 20 {
			if err := records.Put(s, fmt.Sprint("new", i), record{N: i}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func writeForever(dir string) error {
	s, err := state.Open(dir, state.Options{LockTimeout: time.Minute})
	if err != nil {
		return err
	}
	r, err := s.Ring("events", 20)
	if err != nil {
		return err
	}
	last, err := r.Last()
	if err != nil {
		return err
	}
	for n := int(last) + 1; ; n++ {
		if err := r.Append(uint64(n), [][]byte{[]byte(strings.Repeat("e", n%700))}); err != nil {
			return err
		}
		if err := records.Put(s, fmt.Sprint("id", n%30), record{N: n, Text: strings.Repeat("x", n%900)}); err != nil {
			return err
		}
		fmt.Println(n) // is on disk
	}
}

// lineWriter counts the lines written to it and closes reached at a number of
// them.
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

// What was acknowledged is there after a SIGKILL, and nothing is damaged.
func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	acknowledged := 0
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		reached := make(chan struct{})
		out := &lineWriter{want: 7 + 11*round, reached: reached}
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
			t.Fatal("no acknowledged write")
		}
		if _, err := fmt.Sscan(lines[len(lines)-1], &acknowledged); err != nil {
			t.Fatal(err)
		}
		checkAfterKill(t, dir, acknowledged)
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "*.damaged-*")); len(aside) != 0 || err != nil {
		t.Errorf("a kill has damaged the file: %v, %v", aside, err)
	}
}

func checkAfterKill(t *testing.T, dir string, acknowledged int) {
	t.Helper()
	s, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	got, ok, err := records.Get(s, fmt.Sprint("id", acknowledged%30))
	if !ok || err != nil || got.N < acknowledged {
		t.Errorf("record %d was acknowledged, found %d, %v, %v", acknowledged, got.N, ok, err)
	}
	r, err := s.Ring("events", 20)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := r.Last(); err != nil || last < uint64(acknowledged) {
		t.Errorf("ring ends at %d, %v; %d was acknowledged", last, err, acknowledged)
	}
}
