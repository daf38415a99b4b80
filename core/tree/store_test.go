package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, o tree.Options) *tree.Store {
	t.Helper()
	s, err := tree.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		makeRemovable(t, dir)
	})
	return s
}

// makeRemovable lets t.TempDir clean up what a store has made read-only.
func makeRemovable(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chmod(p, 0o700)
	})
	if err != nil {
		t.Error(err)
	}
}

// files returns a Fill that writes files by path. A value that begins with ->
// is a symbolic link, a path that ends with / a directory, one that ends with
// * an executable.
func files(content map[string]string) tree.Fill {
	return func(_ context.Context, dir string) error {
		for name, text := range content {
			p := filepath.Join(dir, strings.TrimSuffix(name, "*"))
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
			mode := fs.FileMode(0o644)
			if strings.HasSuffix(name, "*") {
				mode = 0o755
			}
			var err error
			if target, link := strings.CutPrefix(text, "->"); link {
				err = os.Symlink(target, p)
			} else if strings.HasSuffix(name, "/") {
				err = os.MkdirAll(p, 0o755)
			} else {
				err = os.WriteFile(p, []byte(text), mode)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func never(context.Context, string) error { return errors.New("filled a tree that is there") }

func put(t *testing.T, s *tree.Store, key string, fill tree.Fill) *tree.Tree {
	t.Helper()
	tr, err := s.Put(t.Context(), key, fill)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestPut(t *testing.T) {
	s := open(t, t.TempDir(), tree.Options{})
	a := put(t, s, "git commit-1", files(map[string]string{"a.yaml": "one", "d/b.sh*": "two", "d/link": "->../a.yaml", "empty/": ""}))
	for name, want := range map[string]string{"a.yaml": "one", "d/b.sh": "two", "d/link": "one"} {
		if got, err := os.ReadFile(filepath.Join(a.Dir, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v", name, got, err)
		}
	}
	modes := map[string]fs.FileMode{".": 0o555, "a.yaml": 0o444, "d": 0o555, "d/b.sh": 0o555, "empty": 0o555}
	for name, want := range modes {
		if info, err := os.Stat(filepath.Join(a.Dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("mode of %s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	again := put(t, s, "git commit-1", never)
	same := put(t, s, "git commit-2", files(map[string]string{"a.yaml": "one", "d/b.sh*": "two", "d/link": "->../a.yaml"}))
	if again.Dir != a.Dir || same.Digest != a.Digest || same.Dir != a.Dir {
		t.Errorf("equal content has different places: %s, %s, %s", a.Dir, again.Dir, same.Dir)
	}
	if _, ok := s.Get("git commit-3"); ok {
		t.Error("Get found a key that was never put")
	}
}

func TestDigest(t *testing.T) {
	s := open(t, t.TempDir(), tree.Options{})
	seen := map[string]string{}
	for name, content := range map[string]map[string]string{
		"base":       {"a": "x"},
		"content":    {"a": "y"},
		"name":       {"b": "x"},
		"directory":  {"d/a": "x"},
		"executable": {"a*": "x"},
		"more":       {"a": "x", "b": ""},
		"link":       {"a": "x", "b": "->a"},
		"nothing":    {},
		"odd name":   {"a\" \nb": "x"},
	} {
		d := put(t, s, name, files(content)).Digest
		if other, exists := seen[d]; exists {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
	}
}

func TestLinksOutOfTheTree(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	if err := os.WriteFile(secret, []byte("apiVersion: v1"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir(), tree.Options{})
	tr := put(t, s, "k", files(map[string]string{
		"in/file":          "x",
		"in/ok":            "->file",
		"in/up":            "->../in/file",
		"in/dangling":      "->nothing",
		"in/loop":          "->loop",
		"absolute.yaml":    "->" + secret,
		"relative.yaml":    "->../../../../../../../.." + secret,
		"in/back":          "->../../" + "tree/in/file",
		"in/dir/self":      "->../..",
		"in/through":       "->dir/self/../x",
		"in/through-out":   "->absolute-dir/x",
		"in/absolute-dir":  "->/etc",
		"in/dotdot":        "->../..",
		"in/through-there": "->nothing/../../../x",
	}))
	got := map[string]string{}
	err := filepath.WalkDir(tr.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink == 0 {
			return err
		}
		target, err := os.Readlink(p)
		got[p[len(tr.Dir)+1:]] = strings.ReplaceAll(target, strings.ReplaceAll(secret, "/", "%2F"), "SECRET")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const out = ".outside-of-the-tree/link-to-"
	want := map[string]string{
		"in/ok": "file", "in/up": "../in/file", "in/dangling": "nothing", "in/loop": "loop", "in/dir/self": "../..",
		"absolute.yaml":    out + "SECRET",
		"relative.yaml":    out + "..%2F..%2F..%2F..%2F..%2F..%2F..%2F..SECRET",
		"in/back":          out + "..%2F..%2Ftree%2Fin%2Ffile",
		"in/through":       out + "dir%2Fself%2F..%2Fx",
		"in/through-out":   "absolute-dir/x", // leads through a link that leads nowhere any more
		"in/absolute-dir":  out + "%2Fetc",
		"in/dotdot":        out + "..%2F..",
		"in/through-there": out + "nothing%2F..%2F..%2F..%2Fx",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	res, err := manifest.Load(t.Context(), tr.Dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	problems := fmt.Sprint(res.Problems)
	if !strings.Contains(problems, "absolute.yaml: the symbolic link to "+secret+" leads out of the tree") {
		t.Errorf("loading the tree does not name the link: %s", problems)
	}
}

func TestRefused(t *testing.T) {
	full := fmt.Errorf("write pack: %w", syscall.ENOSPC)
	tests := map[string]struct {
		fill tree.Fill
		want string
	}{
		"a failing fill":  {func(context.Context, string) error { return errors.New("no such branch") }, "tree store: no such branch"},
		"a full disk":     {func(context.Context, string) error { return full }, "is full: free some space there or set another data_dir"},
		"too many files":  {files(map[string]string{"a": "", "b": "", "c": "", "d": "", "e": ""}), "more than 5 files and directories"},
		"too many bytes":  {files(map[string]string{"a": strings.Repeat("x", 60), "b": strings.Repeat("x", 60)}), "more than 100 bytes"},
		"a named pipe":    {func(_ context.Context, dir string) error { return syscall.Mkfifo(filepath.Join(dir, "p"), 0o600) }, "p is neither a file, a directory nor a symbolic link"},
		"no directory":    {func(_ context.Context, dir string) error { return os.Remove(dir) }, "no such file or directory"},
		"a cancelled one": {func(context.Context, string) error { return context.Canceled }, "context canceled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, tree.Options{MaxFiles: 5, MaxBytes: 100})
			_, err := s.Put(t.Context(), "k", tt.fill)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Put = %v, want %q", err, tt.want)
			}
			if left := list(t, dir); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			if tr := put(t, s, "k", files(map[string]string{"a": "x"})); tr.Digest == "" {
				t.Error("the store is of no use after a failure")
			}
		})
	}
}

// list returns what a store's directories hold.
func list(t *testing.T, dir string) (entries []string) {
	t.Helper()
	for _, sub := range []string{"sha256", "keys", "tmp"} {
		found, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			entries = append(entries, sub+"/"+e.Name())
		}
	}
	return entries
}

func TestOneFillsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), tree.Options{})
		var fills atomic.Int32
		hold := make(chan struct{})
		fill := func(ctx context.Context, dir string) error {
			fills.Add(1)
			<-hold
			return files(map[string]string{"a": "x"})(ctx, dir)
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { put(t, s, "k", fill) })
		}
		synctest.Wait()                         // one fills, the others wait
		other := put(t, s, "other", files(nil)) // is not held up
		other.Release()
		short, stop := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := s.Put(short, "k", fill); !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled waiter gets %v", err)
			}
		})
		synctest.Wait()
		stop()
		synctest.Wait()
		close(hold)
		wg.Wait()
		if fills.Load() != 1 {
			t.Errorf("filled %d times", fills.Load())
		}
	})
}

func TestWaitersShareAFailureButNotACancel(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		fills int32
	}{"failure": {errors.New("no such branch"), 1}, "cancel": {context.Canceled, 2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir(), tree.Options{})
				var fills, failed atomic.Int32
				hold := make(chan struct{})
				fill := func(ctx context.Context, dir string) error {
					if fills.Add(1) == 1 {
						<-hold
						return tt.err
					}
					return files(nil)(ctx, dir)
				}
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						if _, err := s.Put(t.Context(), "k", fill); err != nil {
							failed.Add(1)
						}
					})
				}
				synctest.Wait()
				close(hold)
				wg.Wait()
				if fills.Load() != tt.fills {
					t.Errorf("filled %d times, want %d", fills.Load(), tt.fills)
				}
				if want := int32(5); tt.fills == 1 && failed.Load() != want || tt.fills == 2 && failed.Load() != 1 {
					t.Errorf("%d of 5 failed", failed.Load())
				}
			})
		})
	}
}

func TestGCByBytes(t *testing.T) {
	dir := t.TempDir()
	large := func(name string) tree.Fill {
		return files(map[string]string{"d/n": name + strings.Repeat("x", 100)})
	}
	s := open(t, dir, tree.Options{KeepBytes: 350})
	for i := range 3 {
		put(t, s, fmt.Sprint(i), large(fmt.Sprint(i))).Release()
	}
	s = open(t, dir, tree.Options{KeepBytes: 350}) // what another process has left counts too
	held, ok := s.Get("0")
	if !ok {
		t.Fatal("what fits was collected")
	}
	used, ok := s.Get("1")
	if !ok {
		t.Fatal("what fits was collected")
	}
	used.Release()
	put(t, s, "3", large("3")).Release() // takes the place of the one that was used longest ago
	for key, want := range map[string]bool{"0": true, "1": true, "2": false, "3": true} {
		if tr, ok := s.Get(key); ok != want {
			t.Errorf("Get(%s) = %v, want %v", key, ok, want)
		} else if ok {
			tr.Release()
		}
	}
	huge := put(t, s, "huge", files(map[string]string{"n": strings.Repeat("x", 1000)}))
	for _, tr := range []*tree.Tree{held, huge} {
		if !tr.Intact() {
			t.Errorf("a tree in use was collected: %s", tr.Dir)
		}
	}
	for _, key := range []string{"1", "3"} {
		if _, ok := s.Get(key); ok {
			t.Errorf("%s is still there, beside one that fills the store", key)
		}
	}
	huge.Release()
	put(t, s, "4", large("4")).Release()
	if _, ok := s.Get("huge"); ok {
		t.Error("what does not fit stays though nobody uses it")
	}
	if _, ok := s.Get("4"); !ok {
		t.Error("what fits was collected")
	}
}

func TestGC(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, tree.Options{Keep: 2})
	held := put(t, s, "held", files(map[string]string{"n": "held"}))
	for i := range 5 {
		put(t, s, fmt.Sprint(i), files(map[string]string{"d/n": fmt.Sprint(i)})).Release()
	}
	if again, ok := s.Get("3"); !ok {
		t.Error("one of the newest was collected")
	} else {
		again.Release()
		again.Release() // does nothing
	}
	put(t, s, "5", files(map[string]string{"n": "5"})).Release()
	if err := s.GC(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct { // in this order: a Get is a use
		key  string
		want bool
	}{{"held", true}, {"3", true}, {"5", true}, {"0", false}, {"4", false}} {
		tr, ok := s.Get(tt.key)
		if ok != tt.want {
			t.Errorf("Get(%s) = %v, want %v", tt.key, ok, tt.want)
		}
		if ok {
			tr.Release()
		}
	}
	if _, err := os.Stat(filepath.Join(held.Dir, "n")); err != nil {
		t.Errorf("a tree in use was collected: %v", err)
	}
	if got := len(list(t, dir)); got != 6 { // three trees with their keys
		t.Errorf("left on disk: %v", list(t, dir))
	}
	held.Release()
	put(t, s, "6", files(map[string]string{"n": "6"})).Release()
	for key, want := range map[string]bool{"6": true, "held": true, "5": true, "3": false} {
		if _, ok := s.Get(key); ok != want {
			t.Errorf("after the release, Get(%s) = %v, want %v", key, ok, want)
		}
	}
}

func TestReopening(t *testing.T) {
	content := map[string]string{"a.yaml": "one", "d/b": "two"}
	tests := map[string]struct {
		damage func(t *testing.T, dir string, tr *tree.Tree)
		kept   bool
	}{
		"untouched": {func(*testing.T, string, *tree.Tree) {}, true},
		"a file was truncated by a crash": {func(t *testing.T, _ string, tr *tree.Tree) {
			edit(t, tr.Dir, "a.yaml", "")
		}, false},
		"a file was edited": {func(t *testing.T, _ string, tr *tree.Tree) { edit(t, tr.Dir, "d/b", "three") }, false},
		"a file is missing": {func(t *testing.T, _ string, tr *tree.Tree) {
			makeRemovable(t, tr.Dir)
			check(t, os.Remove(filepath.Join(tr.Dir, "d", "b")))
		}, false},
		"the tree is missing": {func(t *testing.T, _ string, tr *tree.Tree) {
			makeRemovable(t, tr.Dir)
			check(t, os.RemoveAll(tr.Dir))
		}, false},
		"the key was torn": {func(t *testing.T, dir string, _ *tree.Tree) {
			check(t, os.WriteFile(filepath.Join(dir, only(t, dir, "keys")), []byte(`{"key":`), 0o600))
		}, false},
		"the key leads elsewhere": {func(t *testing.T, dir string, _ *tree.Tree) {
			check(t, os.WriteFile(filepath.Join(dir, only(t, dir, "keys")), []byte(`{"key":"k","digest":"../../x"}`), 0o600))
		}, false},
		"unfinished trees": {func(t *testing.T, dir string, _ *tree.Tree) {
			check(t, files(map[string]string{"tmp/new-1/tree/d/x": "half", "tmp/old-2/tree/y": "half"})(t.Context(), dir))
			check(t, os.Chmod(filepath.Join(dir, "tmp/new-1/tree/d"), 0o555))
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := open(t, dir, tree.Options{})
			before := put(t, first, "k", files(content))
			check(t, first.Close())
			tt.damage(t, dir, before)

			s := open(t, dir, tree.Options{})
			fill := files(content)
			if tt.kept {
				fill = never
			} else if _, ok := s.Get("k"); ok {
				t.Error("a damaged tree is served")
			}
			after := put(t, s, "k", fill)
			if after.Digest != before.Digest {
				t.Errorf("digest %s, was %s", after.Digest, before.Digest)
			}
			if got, err := os.ReadFile(filepath.Join(after.Dir, "d/b")); err != nil || string(got) != "two" {
				t.Errorf("content %q, %v", got, err)
			}
			if got := len(list(t, dir)); got != 2 {
				t.Errorf("left on disk: %v", list(t, dir))
			}
		})
	}
}

func edit(t *testing.T, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	check(t, os.Chmod(p, 0o600))
	check(t, os.WriteFile(p, []byte(text), 0o600))
}

func only(t *testing.T, dir, sub string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, sub))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	return filepath.Join(sub, entries[0].Name())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTreesRemovedByHandComeBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, tree.Options{})
	fill := files(map[string]string{"a": "1"})
	first, err := s.Put(t.Context(), "k", fill)
	if err != nil {
		t.Fatal(err)
	}
	makeRemovable(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Get("k"); ok || first.Intact() {
		t.Error("a tree that is gone is given out")
	}
	again, err := s.Put(t.Context(), "k", fill)
	if err != nil || again.Digest != first.Digest || !first.Intact() {
		t.Fatalf("%+v, %v", again, err)
	}
	again.Release()
	first.Release()
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir(), tree.Options{})
	check(t, s.Close())
	if _, err := s.Put(t.Context(), "k", never); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Put after Close = %v", err)
	}
}

// Trees come and go while others are read, and nobody sees half of one.
func TestConcurrentUse(t *testing.T) {
	s := open(t, t.TempDir(), tree.Options{Keep: 1})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				n := fmt.Sprint((i * (w + 1)) % 7)
				tr, err := s.Put(t.Context(), n, files(map[string]string{"a/n": n, "b/n": n}))
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range []string{"a/n", "b/n"} {
					if got, err := os.ReadFile(filepath.Join(tr.Dir, f)); err != nil || string(got) != n {
						t.Errorf("tree %s: %q, %v", n, got, err)
					}
				}
				tr.Release()
			}
		})
	}
	wg.Wait()
}
